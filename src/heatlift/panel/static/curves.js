/** The figures of each step as curves, with a cursor at the step that is shown; and its five likeliest classes. */

import { digits, element, share, svg } from "./elements.js";
import { nearest } from "./state.js";

const MOST = 5;
const MARGIN = { left: 38, right: 10, top: 8, bottom: 20 };
const SEEN = "of the view that each step saw"; // a shifted, mirrored image, which the optimiser was given
const ROOM = { co: 120, probability: 150 };

/** Curves of an element's own width; `show(step)` moves the cursor, `chosen(step)` is called on a click. */
export function curvesOf(layer, chosen) {
  const plots = plotsOf(layer).map((plot) => drawn(plot, layer, chosen));
  const node = element("div", { class: "curves" }, ...plots.map((plot) => plot.node));
  let now = null;
  const resized = new ResizeObserver(() => plots.forEach((plot) => plot.draw(now)));
  resized.observe(node);
  return {
    node,
    show(step) {
      now = step;
      plots.forEach((plot) => plot.move(step));
    },
    destroy: () => resized.disconnect(),
  };
}

/** Five rows that change with the step instead of being made anew. */
export function likeliest(layer) {
  const rows = Array.from({ length: MOST }, () => {
    const [name, bar, value] = [element("span", { class: "name" }), element("span", { class: "bar" }), element("span", { class: "value" })];
    return { node: element("li", {}, name, element("span", { class: "track" }, bar), value), name, bar, value };
  });
  const list = element("ol", { class: "likeliest" }, ...rows.map((row) => row.node));
  const node = layer.figures.view ? element("figure", {}, element("figcaption", {}, "Likeliest in this step's view"), list) : list;
  return {
    node,
    show(top) {
      node.hidden = top === null;
      rows.forEach((row, place) => {
        const [name, probability] = top?.[place] ?? ["", null];
        row.node.hidden = probability === null;
        row.node.className = meaning(name, layer);
        row.name.textContent = row.name.title = name;
        row.bar.style.width = `${100 * (probability ?? 0)}%`;
        row.value.textContent = share(probability);
      });
    },
  };
}

function meaning(name, layer) {
  if (name === layer.target) return "target";
  return name === layer.label ? "label" : "other";
}

function plotsOf(layer) {
  const { co } = layer.figures;
  const plots = [];
  if (known(co)) plots.push({ title: "CO score", help: `logits; higher: more confident in ${layer.target}`, room: ROOM.co, lines: [{ name: "CO score", kind: "target", values: co }] });
  const lines = probabilities(layer);
  if (lines.length) plots.push({ title: "Probabilities", help: "softmax; a class has a line where it is among the five likeliest", room: ROOM.probability, lines, ends: [0, 1] });
  if (lines.length && !lines.some((line) => line.kind === "other")) plots.at(-1).help = "softmax";
  for (const plot of layer.figures.view ? plots : []) plot.help = `${SEEN}; ${plot.help}`;
  return plots;
}

function probabilities({ figures, target, label }) {
  const own = [{ name: target, kind: "target", values: figures.p_target }];
  if (label && label !== target) own.push({ name: label, kind: "label", values: figures.p_label });
  const lines = own.filter((line) => known(line.values));
  const others = new Map();
  (figures.top ?? []).forEach((classes, at) => {
    for (const [name, probability] of classes ?? []) {
      if (name === target || name === label) continue;
      if (!others.has(name)) others.set(name, new Array(figures.step.length).fill(null));
      others.get(name)[at] = probability;
    }
  });
  const byPeak = [...others].map(([name, values]) => ({ name, kind: "other", values, peak: Math.max(...values) }));
  byPeak.sort((a, b) => b.peak - a.peak);
  return [...lines, ...byPeak.slice(0, MOST - lines.length)];
}

/** Whether any of a figure's values is there. */
export function known(values) {
  return Boolean(values?.some((value) => value !== null));
}

function drawn(plot, layer, chosen) {
  const steps = layer.figures.step;
  const range = plot.ends ?? ends(plot.lines[0].values);
  const title = element("figcaption", {}, element("b", {}, plot.title), ` ${plot.help}`);
  const picture = svg("svg", { role: "img", "aria-label": spoken(plot, layer.figures), height: plot.room });
  const legend = plot.lines.length > 1 ? element("ul", { class: "legend" }, ...plot.lines.map(entry)) : null;
  const node = element("figure", {}, title, picture, legend);
  const cursor = svg("line", { class: "cursor" });
  const dots = plot.lines.map((line, at) => svg("circle", { class: `dot ${line.kind} n${at}`, r: 3.5 }));
  const [first, last] = [steps[0], steps.at(-1)];
  let width = 0;
  const x = (step) => MARGIN.left + ((step - first) / (last - first || 1)) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => plot.room - MARGIN.bottom - ((value - range[0]) / (range[1] - range[0])) * (plot.room - MARGIN.top - MARGIN.bottom);

  const move = (step) => {
    if (step === null || !width) return;
    const at = nearest(steps, step);
    for (const [name, value] of Object.entries({ x1: x(step), x2: x(step), y1: MARGIN.top, y2: plot.room - MARGIN.bottom })) cursor.setAttribute(name, value);
    plot.lines.forEach(({ values }, line) => {
      dots[line].toggleAttribute("hidden", values[at] === null);
      dots[line].setAttribute("cx", x(steps[at]));
      dots[line].setAttribute("cy", y(values[at] ?? range[0]));
    });
  };
  const draw = (step) => {
    if (node.clientWidth === width) return;
    width = node.clientWidth;
    picture.setAttribute("viewBox", `0 0 ${width} ${plot.room}`);
    picture.setAttribute("width", width);
    const curves = plot.lines.map((line, at) => svg("path", { class: `curve ${line.kind} n${at}`, d: path(line.values, (place) => x(steps[place]), y) }));
    picture.replaceChildren(...axes(range, [first, last], x, y, width, plot.room), ...curves.reverse(), cursor, ...dots);
    move(step);
  };
  const pick = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const place = (event.clientX - picture.getBoundingClientRect().left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
    chosen(first + Math.max(0, Math.min(1, place)) * (last - first));
  };
  picture.addEventListener("pointerdown", pick);
  picture.addEventListener("pointermove", pick);
  return { node, draw, move };
}

function entry(line, at) {
  const sample = svg("svg", { width: 22, height: 8, "aria-hidden": "true" }, svg("path", { class: `curve ${line.kind} n${at}`, d: "M1 4H21" }));
  const role = { target: " (target)", label: " (label)", other: "" }[line.kind];
  return element("li", {}, sample, element("span", {}, `${line.name}${role}`));
}

function axes([low, high], [first, last], x, y, width, room) {
  const rules = [low, (low + high) / 2, high].flatMap((value) => [
    svg("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
    svg("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, digits(value)),
  ]);
  const along = first === last ? [first] : [first, Math.round((first + last) / 2), last];
  const anchors = along.length > 1 ? ["start", "middle", "end"] : ["start"];
  const words = (step, at) => (at === 0 ? `step ${step}` : String(step));
  return [...rules, ...along.map((step, at) => svg("text", { x: x(step), y: room - 5, "text-anchor": anchors[at] }, words(step, at)))];
}

/** A line is broken where a value is missing; a value alone becomes a dot. */
function path(values, x, y) {
  return values.map((value, at) => {
    if (value === null) return "";
    const point = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    const begins = at === 0 || values[at - 1] === null;
    return begins ? `M${point}h0.01` : `L${point}`;
  }).join("");
}

function ends(values) {
  const present = values.filter((value) => value !== null);
  const [low, high] = [Math.min(0, ...present), Math.max(0, ...present)];
  const unit = 10 ** Math.floor(Math.log10(high - low || 1)) / 2;
  return low === high ? [0, 1] : [Math.floor(low / unit) * unit, Math.ceil(high / unit) * unit];
}

function spoken(plot, { step: steps, view }) {
  const line = plot.lines[0];
  const present = line.values.filter((value) => value !== null);
  return `${plot.title} of ${line.name} from ${digits(present[0])} at step ${steps[0]} to ${digits(present.at(-1))} at step ${steps.at(-1)}${view ? `, ${SEEN}` : ""}`;
}
