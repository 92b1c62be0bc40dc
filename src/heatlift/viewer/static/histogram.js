/** How a score is distributed among right and wrong predictions; each bar leads to its images. */

import { digits, element, svg } from "/panel/elements.js";

const ROOM = { width: 320, height: 130, left: 2, right: 2, top: 6, bottom: 22 };
const LEAST = 20; // images that a share is of at least: else a group of one would tower over all others
const ORDER = ["correct", "wrong", "unlabelled"];

/** A figure of one column; `href(low, high, below, group)` is where a bar leads. */
export function histogram(found, href, large, enlarge) {
  const groups = ORDER.map((value) => found.groups.find((group) => group.value === value)).filter(Boolean);
  const picture = svg("svg", { viewBox: `0 0 ${ROOM.width} ${ROOM.height}`, role: "group", "aria-label": `${found.title}: bars lead to their images`, keydown: moved });
  const bars = bins(found.edges, groups).flatMap((bin) => bin.map((bar) => drawn(bar, found.edges, href)));
  picture.append(svg("line", { class: "rule", x1: ROOM.left, x2: ROOM.width - ROOM.right, y1: base(), y2: base() }), ...bars, ...ends(found.edges));
  if (bars.length) bars[0].setAttribute("tabindex", 0);
  const legend = groups.map(({ value, counts }) => element("li", { class: value }, `${value} ${sum(counts).toLocaleString("en")}`));
  const missing = found.missing ? `, ${found.missing.toLocaleString("en")} without a value` : "";
  return [
    element("figcaption", {}, element("h3", {}, found.title), element("p", {}, found.figure ?? "", found.figure && found.help ? "; " : "", found.help)),
    picture,
    element("div", { class: "legend" }, element("ul", {}, ...legend, element("li", { class: "n" }, `n = ${found.n.toLocaleString("en")}${missing}`)), element("button", { type: "button", class: "plain", "aria-pressed": String(large), "aria-label": `Larger: ${found.title}`, click: enlarge }, large ? "Smaller" : "Larger")),
  ];
}

/** Of each bin its bars, the higher behind the lower. Heights are shares of a group: groups differ in size. */
function bins(edges, groups) {
  const shares = groups.map(({ counts }) => counts.map((count) => count / Math.max(sum(counts), LEAST)));
  const highest = Math.max(...shares.flat(), 1e-9);
  return edges.slice(1).map((_, bin) => groups
    .map(({ value, counts }, group) => ({ bin, value, count: counts[bin], height: shares[group][bin] / highest }))
    .filter(({ count }) => count)
    .sort((a, b) => b.height - a.height));
}

function drawn({ bin, value, count, height }, edges, href) {
  const last = bin === edges.length - 2;
  const [low, high] = [edges[bin], edges[bin + 1]];
  const wide = (ROOM.width - ROOM.left - ROOM.right) / (edges.length - 1);
  const tall = Math.max(1.5, height * (base() - ROOM.top));
  const words = `${count.toLocaleString("en")} ${value} image${count === 1 ? "" : "s"} between ${digits(low)} and ${digits(high)}`;
  const link = svg("a", { href: href(low, high, !last, value), class: `bar ${value}`, tabindex: -1, "aria-label": words, "data-bin": bin });
  link.append(svg("rect", { x: ROOM.left + bin * wide + 0.4, width: wide - 0.8, y: base() - tall, height: tall }), svg("title", {}, words));
  return link;
}

function ends(edges) {
  const middle = edges[Math.floor(edges.length / 2)];
  const places = [[ROOM.left, edges[0], "start"], [(ROOM.left + ROOM.width - ROOM.right) / 2, middle, "middle"], [ROOM.width - ROOM.right, edges.at(-1), "end"]];
  return places.map(([x, value, anchor]) => svg("text", { x, y: ROOM.height - 6, "text-anchor": anchor }, digits(value)));
}

/** One stop of the Tab key per figure; arrows go from bar to bar. */
function moved(event) {
  const bars = [...event.currentTarget.querySelectorAll(".bar")];
  const at = bars.indexOf(event.target.closest(".bar"));
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key];
  if (to === undefined || !bars[to]) return;
  event.preventDefault();
  bars.forEach((bar, place) => bar.setAttribute("tabindex", place === to ? 0 : -1));
  bars[to].focus();
}

function base() {
  return ROOM.height - ROOM.bottom;
}

function sum(counts) {
  return counts.reduce((all, count) => all + count, 0);
}
