/** One image: its heatmaps, what is known of it, and the same image of another run beside it. */

import { aboutImage, namesOf, problemsOf } from "/panel/about.js";
import { chooser, element, labelled } from "/panel/elements.js";
import { mount } from "/panel/panel.js";
import { lastStep, nearest } from "/panel/state.js";
import { link } from "./address.js";
import { GONE, details, pictureUrl } from "./api.js";
import { sourceOf } from "./frames.js";

const KEEPS = {
  audit: "An audit keeps the heatmaps of a dozen telling images",
  lift: "A run with --keep-steps N keeps those of N images, step by step",
  undesirable: "A run with --keep-steps N keeps those of N images, step by step",
};

export class ImageView {
  /** `act(change)` goes somewhere else, `note(change)` writes down what is shown. */
  constructor(host, { act, note, problem, address }) {
    Object.assign(this, { host, act, note, problem, address, sides: [], shown: null, failed: null });
  }

  /** Show what an address says; `rows` is the list that it is in. */
  async show(runs, state, rows) {
    Object.assign(this, { runs, state, rows });
    this.host.hidden = false;
    const key = JSON.stringify([state.run, state.image, state.beside]);
    if (key === this.shown) return this.bring();
    this.shown = key;
    this.release();
    this.host.replaceChildren(element("p", { class: "help" }, "Reading the image…"));
    await this.fetch(key);
  }

  /** The runs grow: an image that could not be shown may be there by now, and others come to stand beside it. */
  grown(runs, rows) {
    Object.assign(this, { runs, rows });
    if (this.failed !== null) this.fetch(this.shown);
    else if (this.sides.length) this.walk();
  }

  async fetch(key) {
    const { state } = this;
    try {
      const first = await details(state.run, state.image);
      const id = state.beside !== null ? first.elsewhere[state.beside] : undefined;
      const second = id === undefined ? null : await details(state.beside, id);
      if (key === this.shown) this.build(first, second);
    } catch (error) {
      if (key === this.shown) this.lack(error.message);
      if (error.message === GONE) this.problem(error); // it also waits for the server
    }
  }

  lack(words) {
    if (this.failed === words) return;
    this.failed = words;
    this.host.replaceChildren(this.back(), element("p", { class: "missing", role: "alert" }, words));
  }

  hide() {
    this.host.hidden = true;
    this.shown = null;
    this.release();
  }

  build(first, second) {
    this.failed = null;
    this.lead = element("div", { class: "lead" });
    const names = namesOf(first, "h2");
    this.pair = element("div", { class: second ? "pair" : "single" });
    const slides = [first, second].every((image) => image?.layers.some(({ steps }) => steps.length > 1));
    this.host.replaceChildren(...[this.lead, names, slides && this.linking(), this.pair].filter(Boolean));
    this.steer(first);
    this.sides = [this.side(first, "panel"), second && this.side(second, "other")].filter(Boolean);
    this.pair.append(...this.sides.map(({ node }) => node));
    names.firstChild.focus({ preventScroll: true });
    scrollTo(0, Math.min(scrollY, this.host.offsetTop));
    document.title = `${first.title || first.name} – heatlift`;
  }

  linking() {
    const box = (this.linked = element("input", { type: "checkbox", name: "linked", checked: this.state.linked, change: () => this.link(box.checked) }));
    return element("label", { class: "tick" }, box, element("span", {}, "Move both sliders together"));
  }

  link(linked) {
    this.state = { ...this.state, linked };
    this.note({ linked });
  }

  back() {
    return element("a", { class: "back", href: link({ ...this.state, image: null, beside: null }) }, "← All images");
  }

  /** The way back, to the neighbours in the list, and to the same image elsewhere. */
  steer({ elsewhere }) {
    const copy = element("button", { type: "button", click: () => copied(copy, this.address()) }, "Copy link");
    const others = Object.keys(elsewhere).map((run) => [run, this.runs[run]?.name ?? run]);
    const beside = chooser({ name: "beside", change: () => this.act({ beside: beside.value || null, other: {} }) }, [["", "nothing"], ...others], this.state.beside ?? "");
    const step = (words, to, key) => element("button", { type: "button", "aria-keyshortcuts": key, click: () => this.act(this.neighbours[to]) }, words);
    this.steps = { previous: step("‹ Previous", "previous", "p"), next: step("Next ›", "next", "n"), place: element("span", { class: "help" }) };
    this.around = element("span", { class: "steps", hidden: true }, ...Object.values(this.steps));
    this.lead.replaceChildren(...[this.back(), this.around, others.length && labelled("Beside it", beside), copy].filter(Boolean));
    this.neighbours = { previous: null, next: null };
    this.walk();
  }

  /** The neighbours, which may be others as the list grows. */
  async walk() {
    const { state: { image }, around, rows } = this;
    const at = await rows.placeOf(image, this.state.at ?? 0).catch(() => null);
    if (at === null) return; // a link to an image that is not in this list
    const [previous, next] = await Promise.all([at - 1, at + 1].map((place) => rows.row(place).catch(() => undefined)));
    if (around !== this.around || rows !== this.rows || !this.neighbours) return;
    const go = (row, place) => row && { image: row.id, at: place, panel: { ...this.state.panel, step: undefined }, other: { ...this.state.other, step: undefined } };
    this.neighbours = { previous: go(previous, at - 1), next: go(next, at + 1) };
    for (const way of ["previous", "next"]) this.steps[way].disabled = !this.neighbours[way];
    this.steps.place.textContent = `${(at + 1).toLocaleString("en")} of ${rows.total.toLocaleString("en")}`;
    around.hidden = false;
  }

  side(image, which) {
    const host = element("div");
    const run = this.runs[image.run];
    const title = this.state.beside === null ? null : element("h3", {}, `${run.name}: ${run.title}`);
    const node = element("article", { "aria-label": `${image.name} in ${run.name}` }, title, ...problemsOf(image), host, aboutImage(image));
    const side = { node, image, which, panel: null };
    if (!image.layers.length) host.append(plainly(image, run));
    else side.panel = mount(host, image, sourceOf(image.run, image), this.state[which], (state) => this.changed(side, state));
    return side;
  }

  /** A reader's change of one panel; the other's slider goes to the nearest step of its own. */
  changed(side, state) {
    const change = { [side.which]: state };
    const other = this.sides.find((each) => each !== side && each.panel);
    if (other && this.state.linked) {
      const [from, to] = [side.image.layers[state.layer].steps, other.image.layers[this.state[other.which].layer ?? 0].steps];
      const step = counterpart(from, to, state.step);
      change[other.which] = { ...this.state[other.which], step };
      other.panel.update({ step });
    }
    this.state = { ...this.state, ...change };
    this.note(change);
  }

  /** The same image in another state, as after the browser's back button. */
  bring() {
    for (const { panel, which } of this.sides) panel?.open(this.state[which]);
    if (this.linked) this.linked.checked = this.state.linked;
    if (this.sides.length) this.walk();
  }

  key(event) {
    const to = { "[": "previous", p: "previous", "]": "next", n: "next" }[event.key];
    if (to && this.neighbours?.[to]) this.act(this.neighbours[to]);
    else if (event.key === "Escape") this.act({ image: null, beside: null });
    else if (!event.target.closest?.(".scroll")) this.sides[0]?.panel?.key(event);
  }

  release() {
    for (const { panel } of this.sides) panel?.destroy();
    Object.assign(this, { sides: [], neighbours: null, linked: null, failed: null });
  }
}

/** The place of another heatmap's frame that belongs beside one: the nearest step, and a result beside a result. */
function counterpart(from, to, place) {
  if (lastStep(from) === null || lastStep(to) === null) return Math.min(place, to.length - 1);
  if (from[place] === null && to.at(-1) === null) return to.length - 1;
  return nearest(to, from[place] ?? lastStep(from));
}

/** Browsers let a page write to the clipboard only where they trust the connection. */
async function copied(button, address) {
  const done = await navigator.clipboard?.writeText(address).then(() => true, () => false);
  button.textContent = done ? "Copied" : "Copy it from the address bar";
  setTimeout(() => (button.textContent = "Copy link"), 2000);
}

/** An image of which no heatmap was kept. */
function plainly(image, run) {
  const which = image.original ? "original" : image.thumbnail ? "thumbnail" : null;
  const picture = which && element("img", { src: pictureUrl(image.run, image.id, which), alt: "The image, small" });
  const words = image.status === "ok" ? `There is no heatmap of this image to look at. ${KEEPS[run.kind] ?? ""}.` : "Nothing was computed for this image, so there is nothing more to see.";
  return element("div", { class: "unkept" }, picture, element("p", {}, words));
}
