/** Conditions that images must meet, as the server takes them: how they read, and how they change. */

import { digits } from "/panel/elements.js";

/** A condition in words. */
export function words(condition, columns) {
  const column = columns.find(({ key }) => key === condition.column);
  const title = column ? columnTitle(column) : condition.column;
  if (condition.in) return `${title}: ${condition.in.map((value) => valueTitle(column, value)).join(", ")}`;
  if ("contains" in condition) return `${title} contains “${condition.contains}”`;
  if (condition.missing) return `${title}: no value`;
  const { low, high, below } = condition;
  if (low === undefined) return `${title} ${below ? "below" : "up to"} ${digits(high)}`;
  if (high === undefined) return `${title} ${digits(low)} or more`;
  return `${title} from ${digits(low)} ${below ? "to below" : "to"} ${digits(high)}`;
}

/** A column's name where it stands alone. */
export function columnTitle({ title, group }) {
  return group ? `${group}: ${title}` : title;
}

/** Columns in their groups, as choices of a <select>; those without a group first. */
export function columnChoices(columns) {
  const groups = new Map();
  for (const column of columns) groups.set(column.group, [...(groups.get(column.group) ?? []), [column.key, columnTitle(column)]]);
  const alone = groups.get("") ?? [];
  groups.delete("");
  return [...alone, ...[...groups].map(([title, choices]) => ({ title, choices }))];
}

/** The values of a column that must be one of some. */
export function chosenValues(where, key) {
  return where.find((condition) => condition.column === key && condition.in)?.in ?? [];
}

/** One value of a choice more, or less. */
export function toggled(where, key, value) {
  const before = chosenValues(where, key);
  const values = before.includes(value) ? before.filter((each) => each !== value) : [...before, value];
  const others = where.filter((condition) => condition.column !== key || !condition.in);
  return values.length ? [...others, { column: key, in: values }] : others;
}

/** One condition more; one of the same sort about the same column makes way for it. */
export function added(where, condition) {
  if (condition.in) condition = { ...condition, in: [...new Set([...chosenValues(where, condition.column), ...condition.in])] };
  return [...where.filter((each) => each.column !== condition.column || sort(each) !== sort(condition)), condition];
}

/** One range more, where what is in it must also be in all ranges that the column has already. */
export function narrowed(where, range) {
  const others = where.filter((each) => each.column !== range.column || sort(each) !== "range");
  const ranges = [range, ...where.filter((each) => !others.includes(each))];
  const [lows, highs] = ["low", "high"].map((end) => ranges.map((each) => each[end]).filter(Number.isFinite));
  const found = { column: range.column };
  if (lows.length) found.low = Math.max(...lows);
  if (highs.length) found.high = Math.min(...highs);
  if (ranges.some(({ high, below }) => below && high === found.high)) found.below = true;
  return [...others, found];
}

/** The columns that are offered once a method or an operation was chosen. */
export function offered(columns, { method, operation }) {
  return columns.filter((column) => (!method || !column.method || column.method === method) && (!operation || !column.operation || column.operation === operation));
}

function valueTitle(column, value) {
  return column?.values?.find((each) => each.value === value)?.title ?? value;
}

function sort(condition) {
  return ["in", "contains", "missing"].find((key) => key in condition) ?? "range";
}
