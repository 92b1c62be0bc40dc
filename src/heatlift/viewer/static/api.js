/** What the server is asked. Every request that fails becomes an error with one line for the reader. */

export const GONE = "The viewer was stopped; start `heatlift view` again.";

/** All open runs. */
export const runs = (options) => json("/api/runs", options);

/** A part of a run's images: {total, of, offset, rows}. */
export function images(run, { where, sort, descending }, offset, limit, options) {
  const query = conditions(where);
  if (sort) query.append("sort", sort);
  query.append("descending", descending ? 1 : 0);
  query.append("offset", offset);
  query.append("limit", limit);
  return json(`/api/runs/${run}/images?${query}`, options);
}

/** How a column's values are distributed, in so many bins. */
export function distribution(run, column, where, bins, options) {
  const query = conditions(where);
  query.append("column", column);
  query.append("bins", bins);
  return json(`/api/runs/${run}/distribution?${query}`, options);
}

/** All that is known of one image. */
export const details = (run, id, options) => json(place(run, id), options);

/** Where one of an image's pictures is: thumbnail, original or reference. */
export const pictureUrl = (run, id, which) => `${place(run, id)}/${which}`;

/** Where a layer's picture or animation can be had as a file. */
export function downloadUrl(run, id, layer, frame, format, channel) {
  return `${place(run, id)}/layers/${layer}/download?${new URLSearchParams({ format, frame, channel })}`;
}

/** One frame: {levels, unit, largest}. */
export async function frame(run, id, layer, number) {
  const response = await answer(`${place(run, id)}/layers/${layer}/frames/${number}`);
  const levels = new Int8Array(await response.arrayBuffer());
  return { levels, unit: Number(response.headers.get("X-Unit")), largest: Number(response.headers.get("X-Largest")) };
}

function place(run, id) {
  return `/api/runs/${run}/images/${encodeURIComponent(id)}`;
}

function conditions(where) {
  return new URLSearchParams(where.map((condition) => ["where", JSON.stringify(condition)]));
}

async function json(path, options) {
  return (await answer(path, options)).json();
}

async function answer(path, options) {
  const response = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Error(GONE);
  });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `The viewer answered ${response.status} ${response.statusText}.`);
}
