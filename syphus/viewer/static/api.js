/** Asks the viewer's server. */

/** What the server refused, or that it could not be reached (`status` 0). `message` is one line for people. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Return the JSON of `path`. With `body`, an object, it is a POST. Raises ApiError; an aborted request raises AbortError.
 * call("/api/runs"), call("/api/runs/x/control", {body: {paused: true}, signal})
 */
export async function call(path, { body, signal } = {}) {
  const post = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Syphus": "1" },
    body: JSON.stringify(body),
  };
  let reply;
  try {
    reply = await fetch(path, { credentials: "same-origin", signal, ...post });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The viewer does not answer. Is `syphus view` still running?");
  }
  const type = reply.headers.get("Content-Type") || "";
  const value = type.includes("json") ? await reply.json() : null;
  if (reply.ok && value !== null) return value;
  if (reply.status === 401) throw new ApiError(401, "This browser is not signed in. Open the address that `syphus view` printed.");
  throw new ApiError(reply.status, (value && value.error) || `The viewer answered with status ${reply.status}.`);
}
