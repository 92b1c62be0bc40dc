/** What is told of one image beside its pictures: what is wrong with it, facts, and tables of figures. */

import { element } from "./elements.js";

/** What could not be read of an image. */
export function problemsOf({ problems }) {
  return problems.map((words) => element("p", { class: "heatlift-problem" }, words));
}

/** Facts and tables; null where there are none. */
export function aboutImage({ facts, tables }) {
  if (!facts.length && !tables.length) return null;
  const told = facts.map(({ name, value }) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  return element("div", { class: "heatlift-about" }, facts.length ? element("dl", { class: "facts" }, ...told) : null, ...tables.map(figuresTable));
}

/** Whether the prediction was right, in words and as a class of the style sheet. */
export function judged({ status, correct, predicted }) {
  if (status.startsWith("left out")) return { kind: "left-out", words: status };
  if (status !== "ok") return { kind: "failed", words: status };
  if (correct === true) return { kind: "correct", words: "correct" };
  if (correct === false) return { kind: "wrong", words: predicted ? `wrong: ${predicted}` : "wrong" };
  return { kind: "unlabelled", words: predicted ? `predicted ${predicted}` : "no label" };
}

/** An image's title, name, and whether its prediction was right; `heading` is the level of the title. */
export function namesOf(image, heading) {
  const title = image.title || image.name;
  const { kind, words } = judged({ ...image, predicted: null });
  const name = title === image.name ? null : element("p", { class: "name", title: image.name }, image.name);
  const badge = kind === "unlabelled" ? null : element("p", { class: `badge ${kind}` }, words);
  return element("div", { class: "heatlift-names" }, element(heading, { tabindex: -1, title }, title), name, badge);
}

/** A table that scrolls in a box of its own, where it is too wide for the page. */
function figuresTable({ title, columns, rows }) {
  const numbers = columns.map((_, at) => rows.every((row) => /^(–|-)?$|^[−+-]?[\d.,]+(e\S+)?%?$/.test(row[at] ?? "")));
  const kind = (at) => (numbers[at] ? null : "words");
  const head = element("tr", {}, ...columns.map((words, at) => element("th", { scope: "col", class: kind(at) }, words)));
  const body = rows.map(([first, ...others]) => element("tr", {}, element("th", { scope: "row", class: "words" }, first ?? ""), ...others.map((words, at) => element("td", { class: kind(at + 1) }, words ?? ""))));
  const table = element("table", {}, element("caption", {}, title), element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
}
