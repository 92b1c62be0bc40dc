/** What is open, how far it is, and where one can go. */

import { chooser, element, labelled } from "/panel/elements.js";
import { link, plain } from "./address.js";

const KINDS = { audit: "audit", lift: "lift", undesirable: "undesirable pixels" };

export class Header {
  constructor(host, act) {
    Object.assign(this, { host, act, drawn: {} });
    this.progress = element("div", { class: "progress", hidden: true }, element("progress", { "aria-labelledby": "progress-words" }), element("span", { id: "progress-words" }));
    this.choices = element("div", { class: "choice" });
    this.words = element("div");
    this.tabs = element("nav", { "aria-label": "Views" });
    const keys = element("button", { type: "button", class: "plain", "aria-keyshortcuts": "?", click: () => document.getElementById("keys").showModal() }, "Keys");
    host.replaceChildren(element("div", { class: "run" }, this.choices, this.words), this.progress, element("div", { class: "tabs" }, this.tabs, keys));
  }

  show(runs, run, state) {
    this.live(run);
    this.lead(run, state);
    if (this.differs("choices", [run.id, runs.map(({ name, kind }) => [name, kind])])) this.choices.replaceChildren(...this.choice(runs, run));
    const names = run.facts.map(({ name }) => name); // their values change all the time, and are changed in place
    if (this.differs("words", [run.id, run.name, run.title, run.verdict, run.problems, run.command, names])) this.tell(run);
    const values = this.words.querySelectorAll(".facts dd");
    run.facts.forEach(({ value }, at) => values[at].textContent === value || (values[at].textContent = value));
  }

  /** Whether a part shows something else than when it was drawn. */
  differs(part, shows) {
    const before = this.drawn[part];
    this.drawn[part] = JSON.stringify(shows);
    return this.drawn[part] !== before;
  }

  /** All words about the run anew; what was open stays open, and what had the focus keeps it. */
  tell(run) {
    const open = this.words.querySelector("details")?.open;
    const focused = ["summary", "pre", ".problems"].find((each) => this.words.querySelector(each)?.matches(":focus"));
    this.words.replaceChildren(...words(run).filter(Boolean));
    if (open) this.words.querySelector("details").open = true;
    if (focused) this.words.querySelector(focused)?.focus();
  }

  choice(runs, run) {
    if (runs.length < 2) return [];
    const names = runs.map(({ id, name, kind }) => [id, `${name} (${KINDS[kind] ?? kind})`]);
    const select = chooser({ name: "run", change: () => this.act(plain(select.value)) }, names, run.id);
    return [labelled("Run", select)];
  }

  lead(run, state) {
    if (!this.differs("tabs", [state, run.scores.length > 0])) return;
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
