/**
 * One image's heatmaps: pictures, a slider over the steps, and the figures in step with it.
 * The viewer and notebooks mount the same panel; `source` says where its pictures and frames come from.
 */

import { pixelsOf, saturation, shownLevels } from "./colours.js";
import { Controls } from "./controls.js";
import { curvesOf, likeliest } from "./curves.js";
import { element } from "./elements.js";
import { Stage } from "./stage.js";
import { figuresAt, isSum, lastStep, nearest, settled, stepWords, whatIsShown } from "./state.js";

const PLAYED = 4000; // milliseconds for all steps while playing, within
const PACE = { fastest: 60, slowest: 250 }; // these for one
const AHEAD = 8; // frames asked for before they are needed

/**
 * Show an image's heatmaps in an element.
 *
 * `source` is {original, reference, frame(layer, place), download?(layer, place, format, channel)}; `state` what a
 * link holds; `changed(state)` hears of every change that the reader makes. Of what is returned, `update(given)`
 * changes parts of the state, and `open(state)` goes to another as a whole, as if it were mounted with that.
 */
export function mount(host, image, source, state = {}, changed = () => {}) {
  const panel = new Panel(host, image, source, state, changed);
  return { update: (given) => panel.update(given), open: (given) => panel.become(settled(image, given)), key: (event) => panel.key(event), destroy: () => panel.destroy() };
}

class Panel {
  constructor(host, image, source, state, changed) {
    Object.assign(this, { host, image, source, changed });
    this.direction = 1;
    this.root = element("div", { class: "heatlift-panel", role: "group", "aria-label": `Heatmaps of ${image.title || image.name}` });
    this.root.addEventListener("keydown", (event) => this.key(event));
    host.replaceChildren(this.root);
    this.pictures = Promise.all([source.original, source.reference].map((url) => (url ? pixelsOf(url, image.size) : null)));
    this.state = settled(image, state);
    this.build();
  }

  get layer() {
    return this.image.layers[this.state.layer];
  }

  /** All that belongs to one layer; made anew when another is chosen. */
  async build() {
    const layer = this.layer;
    this.pause();
    this.curves?.destroy();
    this.stage = this.shown = null;
    this.problem = element("p", { class: "heatlift-problem", role: "alert", hidden: true });
    this.controls = new Controls(this.image, this.state, this.source, {
      set: (given) => this.set(given), go: (place) => this.turn(place), play: () => (this.playing ? this.pause() : this.play()),
    });
    this.top = layer.figures?.top ? likeliest(layer) : null;
    this.curves = layer.figures ? curvesOf(layer, (step) => this.turn(nearest(layer.steps, step))) : null;
    this.body = element("div", { class: "pictures" });
    const figures = element("div", { class: "figures" }, this.controls.readings, this.top?.node, this.curves?.node);
    const pane = element("div", {}, this.body, this.controls.transport, this.controls.words);
    this.root.replaceChildren(this.controls.bar, this.problem, element("div", { class: this.curves ? "show" : "show few" }, pane, figures));
    if (layer.problem) return this.fail(layer.problem);
    try {
      await this.raise(layer);
    } catch (error) {
      this.fail(error.message);
    }
  }

  /** The stage needs the pictures, or at least a frame's size. */
  async raise(layer) {
    let pictures = [null, null];
    await this.pictures.then((read) => (pictures = read), (error) => this.fail(error.message));
    const size = this.image.size ?? (pictures[0] && [pictures[0].width, pictures[0].height]);
    if (layer !== this.layer || !this.root.isConnected) return;
    if (!size) throw new Error("The size of this image is not known, so its heatmap cannot be shown.");
    this.stage = new Stage(layer, size, (swipe) => this.set({ swipe }));
    this.stage.load(...pictures);
    this.body.replaceChildren(this.stage.node);
    this.controls.offer(this.stage.changes);
    await this.follow();
  }

  /** What the reader does: shown, and told to whoever holds the link. */
  set(given) {
    this.update(given);
    this.changed({ ...this.state });
  }

  /** To a step by the reader's own hand, which ends playing. */
  turn(place) {
    this.pause();
    this.go(place);
  }

  go(place) {
    const last = this.layer.steps.length - 1;
    this.set({ step: Math.max(0, Math.min(last, place)) });
  }

  update(given) {
    const before = this.state;
    const kept = "layer" in given && Number(given.layer) !== before.layer ? { ...before, step: null } : before;
    this.become(settled(this.image, { ...kept, ...given }));
  }

  become(state) {
    const before = this.state;
    this.state = state;
    this.direction = Math.sign(this.state.step - before.step) || this.direction;
    if (this.state.layer !== before.layer) {
      const focused = this.root.querySelector("select:focus")?.name;
      this.build();
      if (focused) this.root.querySelector(`select[name=${focused}]`)?.focus();
    } else this.follow(true);
  }

  /** Bring the pictures to the step that is wanted: one frame at a time, so that none overtakes a newer one. */
  async follow(again = false) {
    this.stale ||= again;
    if (!this.stage || this.following) return this.following;
    const { stage } = this;
    this.following = this.catchUp(stage).finally(() => {
      this.following = null;
      if (this.stage !== stage) this.follow(); // another layer was chosen meanwhile
    });
    await this.following;
  }

  async catchUp(stage) {
    while (stage === this.stage && (this.stale || this.shown !== this.state.step)) {
      const { layer, step, colours } = this.state;
      this.stale = false;
      try {
        const frame = await this.source.frame(layer, step);
        const measure = colours === "all" ? await this.source.frame(layer, this.layer.own) : frame;
        if (stage === this.stage) this.paint(step, frame, measure);
      } catch (error) {
        if (stage === this.stage) this.lack(step, error.message);
      }
    }
    if (stage === this.stage) this.fetchAhead();
  }

  paint(step, frame, measure) {
    const { layer, state } = this;
    const what = whatIsShown(layer, state);
    this.problem.hidden = true;
    this.shown = step;
    const values = shownLevels(frame.levels, layer.channels, state.channel);
    const limit = layer.kind === "taken" ? 1 : saturation(shownLevels(measure.levels, layer.channels, state.channel)) * measure.unit;
    this.stage.arrange(state);
    this.stage.paint({ frame, values, limit, mode: state.mode, opacity: state.opacity, what, sum: isSum(layer, state), step: stepWords(layer, step) });
    this.read(step, { largest: frame.largest, limit });
  }

  lack(step, words) {
    this.shown = step;
    this.stage.arrange(this.state);
    this.stage.clear();
    this.fail(words);
    this.read(step, {});
  }

  read(place, { largest = null, limit = null }) {
    const { layer } = this;
    const figures = figuresAt(layer, place);
    this.controls.read(this.state, place, { ...figures, largest, limit });
    this.curves?.show(layer.steps[place] ?? lastStep(layer.figures.step));
    this.top?.show(figures.top);
  }

  fail(words) {
    this.problem.hidden = false;
    this.problem.textContent = words;
  }

  fetchAhead() {
    const { layer, step } = this.state;
    for (let ahead = 1; ahead <= AHEAD; ahead++) {
      const place = step + ahead * this.direction;
      if (place >= 0 && place < this.layer.steps.length) this.source.frame(layer, place).catch(() => {}); // said once it is shown
    }
  }

  async play() {
    const run = (this.playing = {});
    this.controls.play(true);
    if (this.state.step === this.layer.steps.length - 1) this.go(0);
    const pace = Math.max(PACE.fastest, Math.min(PACE.slowest, PLAYED / this.layer.steps.length));
    while (this.playing === run && this.state.step < this.layer.steps.length - 1) {
      const pause = new Promise((resolve) => setTimeout(resolve, pace));
      await Promise.all([pause, this.follow()]);
      if (this.playing === run) this.go(this.state.step + 1);
    }
    if (this.playing === run) this.pause();
  }

  pause() {
    this.playing = null;
    this.controls?.play(false);
  }

  /** Keys that move the slider, unless they mean something else where they are pressed. */
  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || this.layer.steps.length < 2) return;
    if (event.target.closest?.("input, select, textarea, button, a") && !event.target.closest(".stepper")) return;
    const { step } = this.state;
    const moves = { ArrowLeft: step - 1, ArrowRight: step + 1, Home: 0, End: this.layer.steps.length - 1 };
    if (event.key in moves) this.turn(moves[event.key]);
    else if (event.key === " " && !event.target.closest?.("button")) this.controls.toggle();
    else return;
    event.preventDefault();
  }

  destroy() {
    this.pause();
    this.curves?.destroy();
    this.stage = null;
    this.root.remove();
  }
}
