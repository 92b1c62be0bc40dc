/** What a reader turns on a panel, and the numbers beside it. */

import { known } from "./curves.js";
import { chooser, digits, element, labelled, share } from "./elements.js";
import { lastStep, stepWords } from "./state.js";

const MODES = [["side", "Side by side"], ["overlay", "Overlay"], ["swipe", "Swipe"]];
const PROBABILITIES = ["target", "label"];
const FILM = 60; // steps of an animation, at most
let count = 0; // radio buttons of two panels must not share a name

/** The controls of one layer; `act` is {set(state), go(place), play()}. */
export class Controls {
  constructor(image, state, source, act) {
    this.image = image;
    this.layer = image.layers[state.layer];
    this.source = source;
    this.act = act;
    this.bar = element("div", { class: "controls" }, this.layers(state), this.modes(state), this.channels(state), this.colours(state), this.opacity(state));
    this.transport = this.layer.steps.length > 1 ? this.stepper() : null;
    this.readings = this.numbers();
    this.links = this.downloads();
    this.words = element("footer", {}, element("p", {}, this.layer.what), this.second(), this.links);
  }

  layers({ layer }) {
    if (this.image.layers.length < 2) return null;
    const choices = this.image.layers.map(({ title }, place) => [place, title]);
    const select = chooser({ name: "layer", change: () => this.act.set({ layer: Number(select.value) }) }, choices, layer);
    return labelled("Heatmap", select);
  }

  modes({ mode }) {
    const name = `heatlift-mode-${count++}`;
    this.radios = MODES.map(([value]) => element("input", { type: "radio", name, value, checked: value === mode, change: () => this.act.set({ mode: value }) }));
    const choices = MODES.map(([, words], at) => element("label", {}, this.radios[at], element("span", {}, words)));
    return element("fieldset", { class: "segments" }, element("legend", { class: "quiet" }, "View"), ...choices);
  }

  channels({ channel }) {
    if (this.layer.channels === 1) return null;
    const choices = [["sum", "Sum of channels"], ["red", "Red"], ["green", "Green"], ["blue", "Blue"]];
    const select = (this.channel = chooser({ name: "channel", change: () => this.act.set({ channel: select.value }) }, choices, channel));
    return labelled("Channel", select);
  }

  colours({ colours }) {
    if (this.layer.kind === "taken" || this.layer.steps.length < 2) return null;
    const choices = [["step", "of this step"], ["all", "same for all steps"]];
    const select = (this.colour = chooser({ name: "colours", change: () => this.act.set({ colours: select.value }) }, choices, colours));
    return labelled("Colour limit", select);
  }

  opacity({ opacity }) {
    const range = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: opacity, name: "opacity", input: () => this.act.set({ opacity: Number(range.value) }) });
    this.opaque = range;
    return (this.opaqueField = labelled("Opacity", range));
  }

  stepper() {
    const { steps, own, own_words: why } = this.layer;
    this.button = element("button", { type: "button", class: "play", click: this.act.play }, "Play");
    this.slider = element("input", { type: "range", min: 0, max: steps.length - 1, step: 1, name: "step", "aria-label": "Step", input: () => this.act.go(Number(this.slider.value)) });
    const mark = element("span", { class: "own", "aria-hidden": "true" });
    mark.style.setProperty("--place", own / (steps.length - 1));
    const about = steps[own] === null ? "the result" : `step ${steps[own]}`;
    const words = `The figures are about ${why && why !== about ? `${about}: ${why}` : about}`;
    const home = element("button", { type: "button", class: "plain", click: () => this.act.go(own) }, words);
    this.output = element("output", { "aria-live": "off" });
    return element("div", { class: "stepper" }, element("div", { class: "line" }, this.button, element("div", { class: "track" }, this.slider, mark), this.output), home);
  }

  numbers() {
    const { layer } = this;
    const there = (key) => known(layer.figures?.[key]) || typeof layer.result?.[key] === "number";
    const titles = {
      co: there("co") && "CO score",
      target: there("p_target") && `p(${layer.target}), target`,
      label: there("p_label") && layer.label && layer.label !== layer.target && `p(${layer.label}), label`,
      largest: layer.kind === "taken" ? "Most taken" : `Largest |${layer.neutral ? "h − 1" : "h"}|`,
      limit: layer.kind === "signed" && "Colours end at ±",
    };
    this.cells = {};
    this.terms = {};
    const rows = Object.entries(titles).filter(([, title]) => title).map(([key, title]) => {
      this.cells[key] = element("dd");
      this.terms[key] = { node: element("dt", {}, title), title };
      return element("div", {}, this.terms[key].node, this.cells[key]);
    });
    return element("dl", { class: "readings" }, ...rows);
  }

  second() {
    const { second, target } = this.layer;
    if (!second) return null;
    const opinion = second.predicted_before === second.predicted_after
      ? `predicts ${second.predicted_before} before and after`
      : `predicted ${second.predicted_before}, now ${second.predicted_after}`;
    return element("p", { class: "second" }, element("b", {}, "Second network "), `${second.name}: p(${target}) ${second.p_before} → ${second.p_after}; it ${opinion}.`);
  }

  downloads() {
    if (!this.source.download || this.layer.problem) return null;
    const formats = this.layer.steps.length > 1 ? ["png", "gif", "webp"] : ["png"];
    const all = this.layer.steps.length > FILM ? `(${FILM} steps at most)` : "of all steps";
    const words = { png: "PNG of this step", gif: `GIF ${all}`, webp: `WebP ${all}` };
    this.files = formats.map((format) => element("a", { download: true, "data-format": format }, formats.length > 1 ? words[format] : "PNG"));
    return element("p", { class: "files" }, element("span", {}, "Download "), ...this.files);
  }

  /** Whether the changed image can be swiped over the original. */
  offer(changes) {
    this.radios.find((radio) => radio.value === "swipe").closest("label").hidden = !changes;
  }

  play(on) {
    if (this.button) this.button.textContent = on ? "Pause" : "Play";
  }

  toggle() {
    if (this.button) this.act.play();
  }

  /** Bring everything to a state that is shown now. */
  read(state, place, figures) {
    for (const radio of this.radios) radio.checked = radio.value === state.mode;
    if (this.channel) this.channel.value = state.channel;
    if (this.colour) this.colour.value = state.colours;
    this.opaqueField.hidden = state.mode !== "overlay";
    if (document.activeElement !== this.opaque) this.opaque.value = state.opacity;
    for (const [key, cell] of Object.entries(this.cells)) cell.textContent = PROBABILITIES.includes(key) ? share(figures[key]) : digits(figures[key]);
    for (const [key, { node, title }] of Object.entries(this.terms)) node.textContent = figures.seen.has(key) ? `${title}, of this step's view` : title;
    for (const link of this.files ?? []) link.href = this.source.download(state.layer, place, link.dataset.format, state.channel);
    if (!this.slider) return;
    this.slider.value = place;
    const { steps } = this.layer;
    const words = stepWords(this.layer, place);
    this.output.textContent = steps[place] === null ? words : `${words} of ${lastStep(steps)}`;
    const score = figures.co !== null ? `CO ${digits(figures.co)}` : figures.target !== null && `p ${share(figures.target)}`;
    this.slider.setAttribute("aria-valuetext", score ? `${words}, ${score}` : words);
  }
}
