/** One image in the grid. */

import { judged } from "/panel/about.js";
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
  const { kind, words } = judged(row);
  place.link.className = `tile ${kind}`;
  place.link.title = row.status === "ok" ? row.name : `${row.name}: ${row.status}`;
  place.link.replaceChildren(
    picture(row, run),
    element("span", { class: "title" }, row.title || row.name),
    element("span", { class: "verdict" }, words),
    shown(row.shown),
  );
}

/** The value of the column that orders the list: of its name and its value, the value stays readable. */
function shown(text) {
  const [, name, value] = /^(.*\s)(\S+)$/s.exec(text ?? "") ?? [null, "", text ?? ""];
  return element("span", { class: "shown" }, element("span", {}, name), element("span", {}, value));
}

function picture(row, run) {
  const frame = element("span", { class: "thumbnail" });
  const named = () => frame.replaceChildren(element("span", { class: "plain" }, row.name), kept ?? "");
  const kept = row.kept ? element("span", { class: "kept", title: "heatmaps were kept" }, element("span", { class: "quiet" }, "with heatmaps")) : null;
  if (!row.thumbnail) named();
  else frame.append(element("img", { src: pictureUrl(run, row.id, "thumbnail"), alt: "", decoding: "async", error: named }), kept ?? "");
  return frame;
}
