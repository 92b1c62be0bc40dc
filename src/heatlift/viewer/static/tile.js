/** One image in the grid. */

import { element } from "/panel/elements.js";
import { pictureUrl } from "./api.js";

/** A place in the list; empty until its row is there. */
export function tile(index) {
  const link = element("a", { class: "tile", tabindex: -1 });
  const item = element("li", {}, link);
  return { index, item, link, key: null };
}

/** Show a row in it, if it shows another yet. */
export function fill(place, row, run, href, total) {
  const key = JSON.stringify([row, href]);
  place.item.setAttribute("aria-posinset", place.index + 1);
  place.item.setAttribute("aria-setsize", total);
  if (place.key === key) return;
  place.key = key;
  place.link.href = href;
  place.link.className = `tile ${verdict(row).kind}`;
  place.link.title = row.name;
  place.link.replaceChildren(
    picture(row, run),
    element("span", { class: "title" }, row.title || row.name),
    element("span", { class: "verdict" }, verdict(row).words),
    element("span", { class: "shown" }, row.shown ?? ""),
  );
}

/** Whether the prediction was right, in words and as a class of the style sheet. */
export function verdict({ status, correct, predicted }) {
  if (status !== "ok") return { kind: "failed", words: status };
  if (correct === true) return { kind: "correct", words: "correct" };
  if (correct === false) return { kind: "wrong", words: predicted ? `wrong: ${predicted}` : "wrong" };
  return { kind: "unlabelled", words: predicted ? `predicted ${predicted}` : "no label" };
}

function picture(row, run) {
  const frame = element("span", { class: "thumbnail" });
  const named = () => frame.replaceChildren(element("span", { class: "plain" }, row.name), kept ?? "");
  const kept = row.kept ? element("span", { class: "kept", title: "heatmaps were kept" }, element("span", { class: "quiet" }, "with heatmaps")) : null;
  if (!row.thumbnail) named();
  else frame.append(element("img", { src: pictureUrl(run, row.id, "thumbnail"), alt: "", decoding: "async", error: named }), kept ?? "");
  return frame;
}
