/** How a score is distributed among right and wrong predictions; each bar leads to its images. */

import { digits, element, svg } from "/panel/elements.js";

const ROOM = { height: 130, large: 260, left: 2, right: 2, top: 6, bottom: 22 };
export const LEAST = 20; // images that a share is of at least: else a group of one would tower over all others
const BREADTHS = [0.92, 0.5, 0.2];
const ORDER = ["correct", "wrong", "unlabelled"];

/** What is in the figure of one column, of a width; `href(bounds, group)` is where a bar leads. */
export function histogram(found, { width, large, href, enlarge }) {
  const size = { width, height: large ? ROOM.large : ROOM.height };
  const groups = ORDER.map((value) => found.groups.find((group) => group.value === value)).filter(Boolean);
  const picture = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-label": `${found.title}: bars lead to their images`, keydown: moved });
  const bars = bins(found.edges, groups).flatMap((bin) => bin.map((bar) => drawn(bar, found.edges, size, href)));
  picture.append(svg("line", { class: "rule", x1: ROOM.left, x2: width - ROOM.right, y1: base(size), y2: base(size) }), ...bars, ...ends(found.edges, size));
  if (bars.length) bars[0].setAttribute("tabindex", 0);
  const legend = groups.map(({ value, counts }) => element("li", { class: value }, `${value} ${sum(counts).toLocaleString("en")}`));
  const missing = found.missing ? `, ${found.missing.toLocaleString("en")} without a value` : "";
  const turn = large ? "Smaller" : "Larger";
  return [
    element("figcaption", {}, element("h3", {}, found.title), element("p", {}, found.figure ?? "", found.figure && found.help ? "; " : "", found.help)),
    picture,
    element("div", { class: "legend" }, element("ul", {}, ...legend, element("li", { class: "n" }, `n = ${found.n.toLocaleString("en")}${missing}`)), element("button", { type: "button", class: "plain", "aria-label": `${turn}: ${found.title}`, click: enlarge }, turn)),
  ];
}

/** Of each bin its bars, each group narrower than the one behind it. Heights are shares of a group, as these differ in size. */
function bins(edges, groups) {
  const shares = groups.map(({ counts }) => counts.map((count) => count / Math.max(sum(counts), LEAST)));
  const highest = Math.max(...shares.flat(), 1e-9);
  return edges.slice(1).map((_, bin) => groups
    .map(({ value, counts }, group) => ({ bin, value, count: counts[bin], height: shares[group][bin] / highest, breadth: BREADTHS[group] }))
    .filter(({ count }) => count));
}

function drawn({ bin, value, count, height, breadth }, edges, size, href) {
  const bounds = boundsOf(edges, bin);
  const wide = (size.width - ROOM.left - ROOM.right) / (edges.length - 1);
  const tall = Math.max(1.5, height * (base(size) - ROOM.top));
  const words = `${count.toLocaleString("en")} ${value} image${count === 1 ? "" : "s"}${spoken(bounds)}`;
  const link = svg("a", { href: href(bounds, value), class: `bar ${value}`, tabindex: -1, "aria-label": words, "data-bin": bin });
  link.append(svg("rect", { x: ROOM.left + (bin + (1 - breadth) / 2) * wide, width: wide * breadth, y: base(size) - tall, height: tall }), svg("title", {}, words));
  return link;
}

/** What a bin takes in: the outermost ones also all that lies beyond them. */
function boundsOf(edges, bin) {
  const low = bin > 0 ? { low: edges[bin] } : {};
  return bin < edges.length - 2 ? { ...low, high: edges[bin + 1], below: true } : low;
}

function spoken({ low, high }) {
  if (low === undefined) return ` below ${digits(high)}`;
  return high === undefined ? `, ${digits(low)} or more` : ` between ${digits(low)} and ${digits(high)}`;
}

function ends(edges, { width, height }) {
  const middle = edges[Math.floor(edges.length / 2)];
  const places = [[ROOM.left, edges[0], "start"], [width / 2, middle, "middle"], [width - ROOM.right, edges.at(-1), "end"]];
  return places.map(([x, value, anchor]) => svg("text", { x, y: height - 6, "text-anchor": anchor }, digits(value)));
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

function base({ height }) {
  return height - ROOM.bottom;
}

function sum(counts) {
  return counts.reduce((all, count) => all + count, 0);
}
