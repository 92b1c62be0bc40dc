/** All images of a list as tiles, of which only those in sight are in the page. */

import { element } from "/panel/elements.js";
import { fill, tile } from "./tile.js";

const GAP = 12;
const NARROWEST = 112;
const PICTURE = 108; // pixels of a tile that do not grow with the font
const TEXT = 3.9; // those that do, in rem
const SPARE = 2; // rows beyond the edges of the window
const SETTLED = 70; // milliseconds without scrolling, before pages in between are fetched

export class Grid {
  /** `href(row, index)` is where a tile leads; `moved(index)` hears where the reader is. */
  constructor(host, { href, moved, problem }) {
    Object.assign(this, { host, href, moved, problem, rows: null, active: 0, columns: 1, height: 1 });
    this.tiles = new Map();
    this.list = element("ul", { class: "tiles", role: "list", keydown: (event) => this.key(event) });
    this.empty = element("p", { class: "empty", hidden: true }, "No image matches all filters.");
    host.replaceChildren(element("h2", { class: "quiet" }, "Images"), this.list, this.empty);
    this.list.addEventListener("focusin", (event) => this.focused(event.target.closest(".tile")));
    new ResizeObserver(() => this.visible && this.draw()).observe(this.list);
    addEventListener("scroll", () => this.visible && this.scrolled(), { passive: true });
    this.heard = new AbortController();
  }

  get visible() {
    return !this.host.hidden && this.rows !== null;
  }

  /** Show a list, at a place of it; the list shown already stays where it is, unless a place is given. */
  show(rows, at = null, focus = false) {
    this.host.hidden = false;
    if (rows !== this.rows) this.take(rows);
    else if (this.scroll) scrollTo(0, this.scroll);
    this.active = at ?? this.active;
    this.pending = at === null ? null : { at, focus };
    this.draw();
    this.arrive();
  }

  /** Go to the place that was asked for, once it is known that there is one. */
  arrive() {
    if (!this.pending || this.rows.total === null) return;
    const { at, focus } = this.pending;
    this.pending = null;
    this.active = Math.max(0, Math.min(at, this.rows.total - 1));
    if (this.rows.total) this.reveal(this.active, focus, true);
  }

  hide() {
    if (this.visible) this.scroll = scrollY;
    clearTimeout(this.settling); // where a hidden grid stands is not where the reader is
    this.host.hidden = true;
  }

  take(rows) {
    this.heard.abort();
    this.heard = new AbortController();
    const { signal } = this.heard;
    for (const type of ["rows", "stale"]) rows.addEventListener(type, () => this.came(), { signal });
    rows.addEventListener("problem", (event) => this.problem(event.detail), { signal });
    Object.assign(this, { rows, active: 0, scroll: 0 });
    for (const { item } of this.tiles.values()) item.remove();
    this.tiles.clear();
    if (this.list.getBoundingClientRect().top < 0) scrollTo(0, 0);
  }

  came() {
    if (!this.visible) return;
    this.draw();
    this.arrive();
  }

  scrolled() {
    this.draw(false);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.draw();
      this.moved(this.sight().from);
    }, SETTLED);
  }

  /** Which places are in sight. */
  sight(spare = 0) {
    const above = Math.max(0, -this.list.getBoundingClientRect().top);
    const [first, last] = [Math.floor(above / this.height) - spare, Math.ceil((above + innerHeight) / this.height) + spare];
    return { from: Math.max(0, first) * this.columns, to: Math.min(this.rows.total ?? 60, Math.max(0, last) * this.columns) };
  }

  draw(fetching = true) {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = this.list.clientWidth;
    this.columns = Math.max(2, Math.floor((width + GAP) / (Math.max(NARROWEST, 7 * rem) + GAP)));
    if (width < 26 * rem) this.columns = Math.max(2, Math.floor((width + GAP) / (6 * rem + GAP)));
    this.height = PICTURE + TEXT * rem + GAP;
    const total = this.rows.total;
    this.list.style.height = `${Math.ceil((total ?? 60) / this.columns) * this.height}px`;
    this.list.setAttribute("aria-busy", total === null);
    this.empty.hidden = total !== 0;
    if (total) this.active = Math.min(this.active, total - 1);
    const { from, to } = this.sight(SPARE);
    if (fetching) this.rows.want(from, Math.max(to, from + 1));
    this.place(from, to, (width + GAP) / this.columns);
  }

  /** Make, move and drop tiles; the one that has the focus stays even out of sight. */
  place(from, to, width) {
    const shown = Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
    const focused = this.tiles.get(this.active)?.link === document.activeElement;
    if (focused && this.active < from) shown.unshift(this.active);
    if (focused && this.active >= to) shown.push(this.active);
    else if (!focused && (this.active < from || this.active >= to)) this.active = from; // where the Tab key goes in
    const wanted = new Set(shown);
    for (const [index, { item }] of this.tiles) {
      if (wanted.has(index)) continue;
      item.remove();
      this.tiles.delete(index);
    }
    let next = this.list.firstElementChild;
    for (const index of shown) {
      const each = this.tiles.get(index) ?? tile(index);
      this.tiles.set(index, each);
      const [column, row] = [index % this.columns, Math.floor(index / this.columns)];
      each.item.style.transform = `translate(${Math.round(column * width)}px, ${Math.round(row * this.height)}px)`;
      each.item.style.width = `${width - GAP}px`;
      each.item.style.height = `${this.height - GAP}px`;
      each.link.tabIndex = index === this.active ? 0 : -1;
      const found = this.rows.get(index);
      if (found) fill(each, found, this.rows.run, this.href(found, index), this.rows.total);
      if (each.item === next) next = next.nextElementSibling;
      else this.list.insertBefore(each.item, next);
    }
  }

  /** Bring a place into sight, with a row of room around it; and the focus to it. */
  reveal(index, focus, atTop = false) {
    const top = this.list.getBoundingClientRect().top + Math.floor(index / this.columns) * this.height;
    const covered = document.getElementById("filters")?.getBoundingClientRect().bottom ?? 0;
    const ceiling = Math.max(0, Math.min(covered, innerHeight / 3));
    const below = top + this.height > innerHeight;
    if (top < ceiling || (below && atTop)) scrollBy(0, top - ceiling - GAP);
    else if (below) scrollBy(0, top + this.height - innerHeight + GAP);
    this.draw();
    if (focus) this.tiles.get(index)?.link.focus({ preventScroll: true });
  }

  focused(link) {
    const found = [...this.tiles.values()].find((each) => each.link === link);
    if (!found || found.index === this.active) return;
    this.active = found.index;
    for (const each of this.tiles.values()) each.link.tabIndex = each.index === this.active ? 0 : -1;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const screen = Math.max(1, Math.floor(innerHeight / this.height) - 1) * this.columns;
    const last = (this.rows.total ?? 1) - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -screen, PageDown: screen, Home: -Infinity, End: Infinity };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(last, this.active + moves[event.key]));
    const past = Math.abs(moves[event.key]) === this.columns && Math.abs(to - this.active) < this.columns && to !== last;
    if (past) return; // up from the first row
    this.active = to;
    this.reveal(to, true);
  }
}
