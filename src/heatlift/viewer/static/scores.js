/** The distributions of a run's scores, each fetched when it comes into sight. */

import { element } from "/panel/elements.js";
import { link } from "./address.js";
import { distribution } from "./api.js";
import { columnTitle, narrowed, offered } from "./conditions.js";
import { LEAST, histogram } from "./histogram.js";

export class Scores {
  constructor(host, problem) {
    Object.assign(this, { host, problem, large: new Set(), figures: new Map(), key: null });
    this.list = element("div", { class: "histograms" });
    this.note = element("p", { class: "help" }, `Heights are shares of each group, so that groups of different sizes compare; one of fewer than ${LEAST} images counts as ${LEAST}. A bar leads to its images.`);
    host.replaceChildren(element("h2", { class: "quiet" }, "Scores"), this.note, this.list);
    this.sight = new IntersectionObserver((seen) => seen.filter((each) => each.isIntersecting).forEach(({ target }) => this.load(target)), { rootMargin: "300px" });
  }

  show(run, state) {
    Object.assign(this, { run, state });
    this.host.hidden = false;
    const columns = offered(run.columns, state).filter(({ key }) => run.scores.includes(key));
    columns.sort((a, b) => run.scores.indexOf(a.key) - run.scores.indexOf(b.key));
    const key = JSON.stringify([run.id, state.where, state.method, state.operation]);
    if (key !== this.key) this.clear();
    this.key = key;
    this.keep(new Map(columns.map((column) => [column.key, column])));
  }

  clear() {
    this.sight.disconnect();
    this.figures.clear();
    this.list.replaceChildren();
  }

  /** Figures of these columns: one that is there stays where it is, whatever the order of a run that grows is by now. */
  keep(columns) {
    for (const [key, figure] of this.figures) {
      if (columns.has(key)) continue;
      figure.remove();
      this.figures.delete(key);
    }
    for (const [key, column] of columns) {
      if (this.figures.has(key)) continue;
      const figure = element("figure", { "data-column": key }, element("figcaption", {}, element("h3", {}, columnTitle(column))));
      this.figures.set(key, figure);
      this.list.append(figure);
      this.sight.observe(figure);
    }
  }

  hide() {
    this.host.hidden = true;
  }

  /** A run that grows: what is in sight is fetched again. */
  refresh() {
    if (this.host.hidden) return void (this.key = null);
    this.sight.disconnect();
    for (const figure of this.figures.values()) this.sight.observe(figure);
  }

  async load(figure) {
    this.sight.unobserve(figure);
    const { key, run, state } = this;
    const column = figure.dataset.column;
    try {
      const found = await this.found(run, column, state.where);
      if (key === this.key) this.draw(figure, found);
    } catch (error) {
      figure.replaceChildren(figure.firstChild, element("p", { class: "help" }, error.message));
      this.problem(error);
    }
  }

  /** As many bins as the images can fill, of which filters may leave few. */
  async found(run, column, where) {
    const bins = enough(run.done);
    const found = await distribution(run.id, column, where, bins);
    const fewer = enough(found.n);
    return fewer < bins ? distribution(run.id, column, where, fewer) : found;
  }

  draw(figure, found) {
    const { column } = found;
    const title = columnTitle(this.run.columns.find(({ key }) => key === column) ?? found);
    const focused = figure.contains(document.activeElement) ? document.activeElement : null;
    const large = this.large.has(column);
    figure.classList.toggle("large", large);
    const href = (bounds, group) => {
      const where = narrowed(this.state.where.filter((each) => each.column !== "correct"), { column, ...bounds });
      return link({ ...this.state, tab: "images", at: null, sort: column, where: [...where, { column: "correct", in: [group] }] });
    };
    const enlarge = () => {
      if (!this.large.delete(column)) this.large.add(column);
      this.draw(figure, found);
      figure.querySelector("button").focus();
    };
    figure.replaceChildren(...histogram({ ...found, title }, { width: figure.clientWidth || 320, large, href, enlarge }));
    if (focused) same(figure, focused)?.focus();
  }
}

/** What stands now where something was that had the focus. */
function same(figure, focused) {
  if (focused.matches("button")) return figure.querySelector("button");
  const bars = [...figure.querySelectorAll(".bar")];
  const alike = (bar) => bar.dataset.bin === focused.dataset.bin && bar.getAttribute("class") === focused.getAttribute("class");
  return bars.find(alike) ?? bars[0];
}

/** Bins for so many images. */
function enough(images) {
  if (images < 60) return 12;
  return images < 300 ? 24 : 40;
}
