/** The list of a run's images under some conditions in some order: fetched in pages, as far as they are looked at. */

import { images } from "./api.js";

const PAGE = 60;
const MOST = 50; // pages kept

export class Rows extends EventTarget {
  constructor(run, query) {
    super();
    Object.assign(this, { run, query, total: null, of: null, version: 0, counted: null });
    this.pages = new Map(); // number -> {rows, version}
    this.asked = new Map(); // number -> {promise, stop, version}
  }

  /** A row that is there already, or undefined. */
  get(index) {
    return this.pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  /** The row at a place, or undefined beyond the end. */
  async row(index) {
    if (index < 0 || (this.counted === this.version && index >= this.total)) return undefined;
    const number = Math.floor(index / PAGE);
    if (this.pages.get(number)?.version !== this.version) await this.ask(number);
    return this.get(index);
  }

  /** Where an image is in the list: at a place or, in a list that has grown since, not far from it; or null. */
  async placeOf(id, near) {
    for (const around of [near, near + PAGE, near - PAGE]) {
      if (around < 0 || !(await this.row(around))) continue;
      const number = Math.floor(around / PAGE);
      const at = this.pages.get(number).rows.findIndex((row) => row.id === id);
      if (at >= 0) return number * PAGE + at;
    }
    return null;
  }

  /** Fetch what is missing between two places; what was asked for elsewhere and has not come is dropped. */
  want(from, to) {
    const [first, last] = [Math.floor(from / PAGE), Math.floor(Math.max(from, to - 1) / PAGE)];
    for (const [number, { stop }] of this.asked) {
      if (number >= first && number <= last) continue;
      this.asked.delete(number);
      stop();
    }
    for (let number = first; number <= last; number++) {
      if (this.pages.get(number)?.version !== this.version) this.ask(number).catch((error) => this.tell("problem", error));
    }
  }

  /** There may be more now: what is shown stays until its successor is there. */
  refresh() {
    this.version++;
    this.tell("stale");
  }

  ask(number) {
    const under = this.asked.get(number);
    if (under?.version === this.version) return under.promise;
    under?.stop();
    const control = new AbortController();
    const asked = { version: this.version, stop: () => control.abort() };
    this.asked.set(number, asked);
    asked.promise = this.fetch(number, control.signal, asked);
    return asked.promise;
  }

  async fetch(number, signal, asked) {
    try {
      const found = await images(this.run, this.query, number * PAGE, PAGE, { signal });
      this.pages.delete(number);
      this.pages.set(number, { rows: found.rows, version: asked.version });
      if (this.pages.size > MOST) this.pages.delete(this.pages.keys().next().value);
      Object.assign(this, { total: found.total, of: found.of, counted: asked.version });
      this.tell("rows");
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      if (this.asked.get(number) === asked) this.asked.delete(number);
    }
  }

  tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
