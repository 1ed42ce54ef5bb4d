// What can be done to a model. How far it is and why it failed stands in the store.

import { stream } from "./api.js";
import { nameOf, store } from "./store.js";

export const load = (model, options = {}) => act(model, "load", "loading", options);

export const unload = (model) => act(model, "unload", "unloading", {});

export const pin = (model) => act(model, "load", "pinning", { pinned: !model.pinned });

async function act(model, verb, word, options) {
  const name = nameOf(model);
  store.put("failures", name, null);
  store.put("progress", name, { stage: word, completed: 0, total: null, message: word });
  try {
    for await (const event of stream(`/v1/models/${verb}`, { model: name, ...options })) {
      if (event.name === "progress") store.put("progress", name, event.data);
      else if (event.name === "done") store.turn(name, event.data.state, null);
    }
  } catch (error) {
    store.put("failures", name, error.message);
  }
  store.put("progress", name, null);
  acted();
}

let acted = () => {};

/** Calls back when something was done, so that the rest can be asked anew. */
export function whenActed(callback) {
  acted = callback;
}
