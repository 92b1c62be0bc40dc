/** The pictures of one layer: side by side, the heatmap over the photograph, or the changed image swiped over it. */

import { paintChanged, paintHeatmap, paintScale } from "./colours.js";
import { digits, element } from "./elements.js";

const CHANGED = {
  add: "original + heatmap, brought back to [0, 1]",
  multiply: "original × heatmap, brought back to [0, 1]",
  blur: "blurred where the mask is dark",
};

/** What a panel shows of one layer; `swiped(share)` is called when the divider is moved. */
export class Stage {
  constructor(layer, [width, height], swiped) {
    const canvas = (label) => element("canvas", label ? { width, height, role: "img", "aria-label": label } : { width, height, "aria-hidden": "true" });
    this.layer = layer;
    this.size = [width, height];
    this.photographs = [canvas("Original image"), canvas(""), canvas("")];
    const [original, beneath, before] = this.photographs;
    this.heatmap = canvas("Heatmap");
    this.changed = canvas("Changed image");
    this.beneath = beneath;
    this.divider = element("input", { type: "range", min: 0, max: 1, step: 0.01, class: "divider", "aria-label": "Divider: original on its left, changed image on its right" });
    this.divider.addEventListener("input", () => swiped(Number(this.divider.value)));
    this.swiping = [before, this.divider, element("span", { class: "edge", "aria-hidden": "true" })];
    this.title = element("figcaption", {}, "Heatmap");
    this.ends = Array.from({ length: 3 }, () => element("span"));
    const scale = element("canvas", { class: "colours", "aria-hidden": "true" });
    paintScale(scale, layer.kind);
    this.caption = element("figcaption");
    this.figures = {
      original: element("figure", {}, element("div", { class: "picture" }, original), element("figcaption", {}, "Original")),
      heatmap: element("figure", {}, element("div", { class: "picture" }, beneath, this.heatmap), this.title, element("div", { class: "scale" }, scale, element("div", { class: "ends" }, ...this.ends))),
      changed: element("figure", {}, element("div", { class: "picture" }, before, this.changed, ...this.swiping.slice(1)), this.caption),
    };
    this.node = element("div", { class: "stage" }, ...Object.values(this.figures));
    this.node.classList.toggle("coarse", Math.max(width, height) < 128);
  }

  /** The pixels that the pictures are made from; null where there are none. */
  load(photograph, reference) {
    this.photograph = photograph;
    this.reference = reference;
    for (const canvas of photograph ? this.photographs : []) canvas.getContext("2d").putImageData(photograph, 0, 0);
  }

  /** Whether a changed image can be shown. */
  get changes() {
    return Boolean(this.photograph && this.layer.operation && (this.layer.operation !== "blur" || this.reference));
  }

  /** Which pictures are there, and where the divider stands. */
  arrange({ mode, swipe }) {
    const swiping = mode === "swipe" && this.changes;
    this.node.dataset.mode = swiping || mode === "overlay" ? mode : "side";
    this.figures.original.hidden = !this.photograph || swiping || mode === "overlay";
    this.figures.changed.hidden = !this.changes;
    this.beneath.hidden = mode !== "overlay";
    for (const each of this.swiping) each.hidden = !swiping;
    this.caption.textContent = `${swiping ? "Left: original; right" : "Changed image"}: ${CHANGED[this.layer.operation]}`;
    this.divider.value = swipe;
    this.divider.setAttribute("aria-valuetext", `${Math.round(100 * swipe)}% from the left`);
    this.changed.style.clipPath = swiping ? `inset(0 0 0 ${100 * swipe}%)` : "";
    this.node.style.setProperty("--swipe", `${100 * swipe}%`);
  }

  /** Paint a frame: its shown values in levels, the value at which colours end, and words for what they are. */
  paint({ frame, values, limit, mode, opacity, what, sum, step }) {
    const over = mode === "overlay" && this.photograph;
    paintHeatmap(this.heatmap, values, limit / frame.unit, this.layer.kind, over ? opacity : null);
    this.title.textContent = over ? `${what}, over the original` : what;
    this.heatmap.setAttribute("aria-label", `${what}, ${step}`);
    this.endsOf(limit, sum).forEach((words, at) => (this.ends[at].textContent = words));
    if (!this.changes) return;
    paintChanged(this.changed, this.photograph, this.reference, frame, this.layer);
    this.changed.setAttribute("aria-label", `Changed image, ${step}`);
  }

  /** Values where colours begin, in their middle, and where they end; a sum is of what differs from the neutral value. */
  endsOf(limit, sum) {
    if (this.layer.kind === "taken") return [0, limit / 2, limit].map(digits);
    const middle = sum ? 0 : this.layer.neutral;
    return [digits(middle - limit), digits(middle), middle ? digits(middle + limit) : `+${digits(limit)}`];
  }

  /** Leave nothing that belongs to another step. */
  clear() {
    for (const canvas of [this.heatmap, this.changed]) canvas.getContext("2d").clearRect(0, 0, ...this.size);
  }
}
