/** What is open, how far it is, and where one can go. */

import { chooser, element, labelled } from "/panel/elements.js";
import { link, plain } from "./address.js";

const KINDS = { audit: "audit", lift: "lift", undesirable: "undesirable pixels" };

export class Header {
  constructor(host, act) {
    Object.assign(this, { host, act, drawn: null });
    this.progress = element("div", { class: "progress", hidden: true }, element("progress", { "aria-labelledby": "progress-words" }), element("span", { id: "progress-words" }));
    this.main = element("div", { class: "run" });
    this.tabs = element("nav", { "aria-label": "Views" });
    const keys = element("button", { type: "button", class: "plain", "aria-keyshortcuts": "?", click: () => document.getElementById("keys").showModal() }, "Keys");
    host.replaceChildren(this.main, this.progress, element("div", { class: "tabs" }, this.tabs, keys));
  }

  show(runs, run, state) {
    this.live(run);
    this.lead(run, state);
    const { loading, done, total, pace, columns, ...still } = run;
    const key = JSON.stringify([still, runs.map(({ name }) => name)]);
    if (this.drawn === key) return;
    this.drawn = key;
    const open = this.main.querySelector("details")?.open;
    this.main.replaceChildren(...[this.choice(runs, run), ...words(run)].filter(Boolean));
    if (open) this.main.querySelector("details").open = true;
  }

  choice(runs, run) {
    if (runs.length < 2) return null;
    const names = runs.map(({ id, name, kind }) => [id, `${name} (${KINDS[kind] ?? kind})`]);
    const select = chooser({ name: "run", change: () => this.act(plain(select.value)) }, names, run.id);
    return labelled("Run", select);
  }

  lead(run, state) {
    const current = (name) => (state.tab === name ? (state.image ? "true" : "page") : null);
    const tab = (name, title) => element("a", { href: link({ ...state, tab: name, image: null, beside: null, at: null }), "aria-current": current(name) }, title);
    const focused = [...this.tabs.children].indexOf(document.activeElement);
    this.tabs.replaceChildren(tab("images", "Images"), ...(run.scores.length ? [tab("scores", "Scores")] : []));
    this.tabs.children[focused]?.focus();
  }

  live(run) {
    const text = progressWords(run);
    this.progress.hidden = !text;
    if (!text) return;
    const [bar, words] = this.progress.children;
    const { done, total } = run.loading ?? run;
    Object.assign(bar, { max: total || 1, value: done });
    if (words.textContent !== text) words.textContent = text;
  }
}

/** How far a run is, or the reading of it; empty where all is there. */
export function progressWords({ status, loading, done, total, pace }) {
  if (loading) return `Reading the run: ${loading.done} of ${loading.total} parts`;
  if (status !== "running") return "";
  return `Running: ${done.toLocaleString("en")} of ${total.toLocaleString("en")} images${pace ? `, ${pace.toFixed(pace < 10 ? 1 : 0)} per second` : ""}`;
}

function words(run) {
  const facts = run.facts.map(({ name, value }) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  const [, short] = /^(.{40,330}?[.!?]) /s.exec(run.verdict ?? "") ?? [null, run.verdict];
  const whole = short !== run.verdict && element("p", {}, run.verdict);
  const about = element("details", {}, element("summary", {}, whole ? "The whole verdict, and about this run" : "About this run"), whole, element("dl", { class: "facts" }, ...facts), element("pre", { tabindex: 0, "aria-label": "Command" }, run.command));
  const problems = run.problems.length && element("div", { class: "problems", role: "group", tabindex: run.problems.length > 4 ? 0 : null, "aria-label": "Problems" }, element("b", {}, "Not all of this run can be read"), element("ul", {}, ...run.problems.map((text) => element("li", {}, text))));
  return [
    element("p", { class: "kicker" }, `heatlift · ${run.name} · ${KINDS[run.kind] ?? run.kind}`),
    element("h1", {}, run.title),
    short && element("p", { class: "lead" }, short),
    problems,
    about,
  ];
}
