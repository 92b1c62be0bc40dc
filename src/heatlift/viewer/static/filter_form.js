/** The form that makes a filter of any column: a choice, a range of numbers, or a text. */

import { chooser, digits, element, labelled } from "/panel/elements.js";
import { columnChoices, columnTitle } from "./conditions.js";

const FEW = 12; // values that are shown as boxes to tick; more are typed

export class FilterForm {
  /** `add(condition)` is called with a filter that was made. */
  constructor(add) {
    this.add = add;
    this.fields = element("div", { class: "fields" });
    this.columnField = element("div");
    this.says = element("p", { class: "help", role: "alert" });
    this.form = element("form", { submit: (event) => this.submit(event), input: () => (this.says.textContent = "") }, this.columnField, this.fields, this.says, element("button", { class: "primary" }, "Add this filter"));
    this.node = element("details", { class: "adder", keydown: (event) => event.key === "Escape" && this.close(event), toggle: () => this.columns && this.show(this.columns, this.run) }, element("summary", {}, "Add filter"), this.form);
    addEventListener("pointerdown", (event) => this.node.open && !this.node.contains(event.target) && (this.node.open = false));
  }

  /** Offer a run's columns; as long as somebody fills it in, a form stays as it is while its run grows. */
  show(all, run) {
    const columns = all.filter(({ type, values }) => type !== "choice" || values.length > 1);
    this.node.hidden = !columns.length; // as long as nothing of the run is read
    const key = JSON.stringify([run, columns.map((column) => [column.key, column.values?.length])]);
    this.columns = columns;
    if (this.key === key || !columns.length || (this.run === run && this.busy)) return;
    Object.assign(this, { key, run });
    const kept = this.column?.value;
    this.column = chooser({ name: "column", change: () => this.ask() }, columnChoices(columns), kept);
    this.columnField.replaceChildren(labelled("Filter by", this.column));
    this.ask();
  }

  get busy() {
    return this.node.open || [...new FormData(this.form)].some(([name, value]) => name !== "column" && value);
  }

  get chosen() {
    return this.columns.find(({ key }) => key === this.column.value);
  }

  ask() {
    const { type, values, low, high, help } = this.chosen;
    this.says.textContent = "";
    const rest = help ? [element("p", { class: "help" }, help)] : [];
    if (type === "choice" && values.length <= FEW) this.fields.replaceChildren(...rest, ...values.map(box));
    else if (type === "choice") this.fields.replaceChildren(...rest, ...search(values));
    else if (type === "number") this.fields.replaceChildren(...rest, bound("low", "From", low), bound("high", "to", high), without());
    else this.fields.replaceChildren(...rest, labelled("contains", element("input", { name: "contains", autocomplete: "off" })));
  }

  submit(event) {
    event.preventDefault();
    const condition = this.condition(new FormData(this.form));
    if (!condition) return this.lack();
    this.close();
    this.ask();
    this.add({ column: this.column.value, ...condition });
  }

  /** Nothing was given, or nothing that there is. */
  lack() {
    const field = this.form.querySelector(".fields input");
    const typed = field.type === "text" ? field.value.trim() : "";
    this.says.textContent = typed ? `${columnTitle(this.chosen)}: nothing here is called “${typed}”` : "";
    field.focus();
  }

  condition(given) {
    const { type, values } = this.chosen;
    if (type === "text") return given.get("contains") ? { contains: given.get("contains") } : null;
    if (type === "choice") return chosen(given.getAll("value"), values);
    if (given.get("missing")) return { missing: true };
    const bounds = ["low", "high"].filter((name) => given.get(name) !== "").map((name) => [name, Number(given.get(name))]);
    return bounds.length ? Object.fromEntries(bounds) : null;
  }

  close(event) {
    event?.stopPropagation();
    this.node.open = false;
    this.node.querySelector("summary").focus();
  }
}

/** Of typed text the value that it names; else all that contain it. */
function chosen(typed, values) {
  const texts = typed.map((text) => text.trim().toLowerCase()).filter(Boolean);
  const found = texts.flatMap((text) => {
    const same = values.filter(({ value, title }) => [value, title].some((each) => each.toLowerCase() === text));
    return same.length ? same : values.filter(({ title }) => title.toLowerCase().includes(text));
  });
  return found.length ? { in: [...new Set(found.map(({ value }) => value))] } : null;
}

function box({ value, title, count }) {
  return element("label", { class: "tick" }, element("input", { type: "checkbox", name: "value", value }), element("span", {}, title, " ", element("small", {}, count.toLocaleString("en"))));
}

function search(values) {
  const list = element("datalist", { id: "filter-values" }, ...values.map(({ title, count }) => element("option", { value: title }, `${count}`)));
  return [labelled(`one of ${values.length}`, element("input", { name: "value", list: "filter-values", autocomplete: "off" })), list];
}

function bound(name, words, value) {
  return labelled(words, element("input", { type: "number", name, step: "any", placeholder: value === null ? "" : digits(value) }));
}

function without() {
  return element("label", { class: "tick" }, element("input", { type: "checkbox", name: "missing" }), element("span", {}, "only images without this value"));
}
