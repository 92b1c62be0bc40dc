/** What narrows and orders the list: find by name, order, quick choices, and a filter of any column. */

import { chooser, element, labelled } from "/panel/elements.js";
import { added, chosenValues, columnChoices, columnTitle, offered, toggled, words } from "./conditions.js";
import { FilterForm } from "./filter_form.js";

const QUICK = ["correct", "reached", "outcome", "kept", "helped"];
const FEW = 6; // values of a column that has a button for each
const TYPING = 180; // milliseconds without a key, before what was typed is looked for

export class Filters {
  /** `act(change)` is called with the parts of the state that are to change. */
  constructor(host, act) {
    Object.assign(this, { host, act, drawn: {} });
    this.search = element("input", { type: "search", id: "find", placeholder: "Find by name", "aria-label": "Find by name", "aria-keyshortcuts": "/", input: () => this.typed() });
    this.form = new FilterForm((condition) => this.act({ where: added(this.state.where, condition) }));
    this.parts = Object.fromEntries(["order", "quick", "active"].map((name) => [name, element("div", { class: name })]));
    this.count = element("p", { class: "count", role: "status" });
    const first = element("div", { class: "line" }, this.search, this.parts.order, this.form.node);
    host.replaceChildren(element("h2", { class: "quiet" }, "Filters and order"), first, this.parts.quick, this.parts.active, this.count);
  }

  /** `order` is what the list is sorted by, which the state need not say. */
  show(run, state, order) {
    Object.assign(this, { run, state, by: order });
    this.host.hidden = false;
    const found = state.where.find(({ contains, column }) => contains !== undefined && column === "name")?.contains ?? "";
    if (document.activeElement !== this.search) this.search.value = found;
    this.search.hidden = !run.columns.some(({ key }) => key === "name");
    this.form.show(run.columns, run.id);
    this.part("order", [run.columns.map(({ key }) => key), order, state.method, state.operation, state.tab], () => this.order());
    this.part("quick", [run.columns.filter(({ key }) => QUICK.includes(key)), state.where], () => this.quick());
    this.part("active", [state.where, run.id], () => this.active());
  }

  /** How many images there are under these filters. */
  tell({ total, of }) {
    if (total === null) return; // the count before stays until there is another
    const text = total === of ? `${grouped(of)} images` : `${grouped(total)} of ${grouped(of)} images`;
    if (this.count.textContent !== text) this.count.textContent = text;
  }

  hide() {
    this.host.hidden = true;
  }

  /** Make a part anew if what it shows has changed, and leave the focus where it was. */
  part(name, shows, build) {
    const key = JSON.stringify(shows);
    if (this.drawn[name] === key) return;
    this.drawn[name] = key;
    const host = this.parts[name];
    const focused = host.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    host.replaceChildren(...build().filter(Boolean));
    host.hidden = !host.children.length;
    if (focused !== null) ([...host.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused) ?? this.search).focus();
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      const others = this.state.where.filter(({ column, contains }) => column !== "name" || contains === undefined);
      const contains = this.search.value;
      this.act({ where: contains ? [...others, { column: "name", contains }] : others });
    }, TYPING);
  }

  order() {
    const columns = offered(this.run.columns, this.state);
    const { sort: key, descending } = this.by;
    const all = columns.some((column) => column.key === key) ? columns : [...this.run.columns.filter((column) => column.key === key), ...columns];
    const sort = chooser({ name: "sort", "data-key": "sort", change: () => this.act({ sort: sort.value }) }, columnChoices(all), key);
    const turn = element("button", { type: "button", class: "direction", "data-key": "direction", click: () => this.act({ descending: !descending }) }, descending ? "↓ highest first" : "↑ lowest first");
    return [this.narrow("method", "Method"), this.narrow("operation", "Operation"), this.state.tab === "images" && labelled("Order", sort), this.state.tab === "images" && turn];
  }

  /** Scores of one method or operation only. */
  narrow(key, title) {
    const values = [...new Set(this.run.columns.map((column) => column[key]).filter(Boolean))];
    if (values.length < 2) return null;
    const select = chooser({ name: key, "data-key": key, change: () => this.act({ [key]: select.value || null }) }, [["", "all"], ...values.map((value) => [value, value])], this.state[key] ?? "");
    return labelled(title, select);
  }

  quick() {
    const columns = QUICK.map((key) => this.run.columns.find((column) => column.key === key));
    return columns.filter((column) => column?.values?.length > 1 && column.values.length <= FEW).map((column) => {
      const chosen = chosenValues(this.state.where, column.key);
      const chips = column.values.map(({ value, title, count }) => element(
        "button",
        { type: "button", class: `chip ${column.key === "correct" ? value : ""}`, "aria-pressed": String(chosen.includes(value)), "data-key": `${column.key}=${value}`, click: () => this.act({ where: toggled(this.state.where, column.key, value) }) },
        title, " ", element("small", {}, grouped(count)),
      ));
      return element("fieldset", { title: column.help || null }, element("legend", {}, columnTitle(column)), ...chips);
    });
  }

  active() {
    const { where } = this.state;
    const chips = where.map((condition, at) => {
      const text = words(condition, this.run.columns);
      return element("button", { type: "button", class: "chip removable", "data-key": `remove ${at}`, "aria-label": `Remove the filter ${text}`, click: () => this.act({ where: where.filter((_, place) => place !== at) }) }, text, element("span", { "aria-hidden": "true" }, " ×"));
    });
    const clear = where.length > 1 && element("button", { type: "button", class: "plain", "data-key": "clear", click: () => this.act({ where: [] }) }, "Remove all filters");
    return [...chips, clear];
  }
}

function grouped(count) {
  return count.toLocaleString("en");
}
