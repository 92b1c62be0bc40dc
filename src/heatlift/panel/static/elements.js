/**
 * Elements are only ever built here: text goes in as text, so no name in a run can become markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; attributes that are null or false are left out, functions become listeners. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** A <select>; choices are [value, words], or {title, choices} for a group of them. */
export function chooser(attributes, choices, value) {
  const option = ([key, words]) => element("option", { value: key, selected: String(key) === String(value) }, words);
  const grouped = ({ title, choices: inside }) => element("optgroup", { label: title }, ...inside.map(option));
  return element("select", attributes, ...choices.map((each) => (Array.isArray(each) ? option(each) : grouped(each))));
}

/** A label that contains its control. */
export function labelled(words, control, kind = "field") {
  return element("label", { class: kind }, element("span", {}, words), control);
}

/** Up to three significant digits, as in all texts of the project. */
export function digits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "none";
  const size = Math.abs(value);
  const sign = value < 0 ? "−" : "";
  if (size && (size < 1e-4 || size >= 1e6)) return sign + size.toExponential(1).replace("e+", "e").replace("-", "−");
  return sign + (size >= 1000 ? String(Math.round(size)) : String(Number(size.toPrecision(3))));
}

/** A probability; one that is nearly 0 or 1 is not written as if it were. */
export function share(value) {
  if (value > 0.9995 && value < 1) return "> 0.999";
  return value > 0 && value < 0.0005 ? "< 0.001" : digits(value);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
