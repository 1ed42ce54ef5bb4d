// All that the page knows. It changes only here; whoever draws it subscribes.

import { useEffect, useReducer, useRef } from "./vendor/preact.js";
import { Series } from "./series.js";

const MOST_EVENTS = 200;
const MOST_RATES = 40;

export const nameOf = (model) => `${model.instance}/${model.id ?? model.model}`;

export class Store {
  constructor() {
    this.samples = new Series();
    this.listeners = new Set();
    this.state = {
      link: { state: "connecting", message: "connecting …" },
      models: null,
      modelsError: null,
      health: null,
      sampled: 0,
      progress: new Map(),
      failures: new Map(),
      rates: new Map(),
      baselines: new Map(),
      events: [],
      benchmark: null,
      refused: null,
    };
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  set(changes) {
    this.state = { ...this.state, ...changes };
    for (const listener of this.listeners) listener();
  }

  /** Puts one entry into a Map of the state, or takes it out when the value is null. */
  put(map, key, value) {
    if (value === null && !this.state[map].has(key)) return;
    const next = new Map(this.state[map]);
    if (value === null) next.delete(key);
    else next.set(key, value);
    this.set({ [map]: next });
  }

  setModels(models) {
    const before = new Map((this.state.models ?? []).map((each) => [nameOf(each), each]));
    const next = models.map((each) => unchanged(before.get(nameOf(each)), each));
    const rates = new Map(this.state.rates);
    const baselines = new Map(this.state.baselines);
    for (const each of next) learnSpeed(each, rates, baselines);
    this.set({ models: next, modelsError: null, rates, baselines });
  }

  /** Takes an event of the server's stream. */
  take({ name, data }) {
    TAKEN[name]?.(this, data);
    if (LOGGED.has(name)) {
      this.set({ events: [{ kind: name, ...data }, ...this.state.events].slice(0, MOST_EVENTS) });
    }
  }

  turn(name, state, reason) {
    if (!this.state.models) return;
    const models = this.state.models.map((each) =>
      nameOf(each) === name ? { ...each, state, state_reason: reason } : each,
    );
    this.set({ models });
  }
}

const LOGGED = new Set([
  ...["model", "answer", "fallback", "breaker", "provision"],
  ...["health", "finding", "baseline", "benchmark", "lost"],
]);

const TAKEN = {
  sample(store, data) {
    store.samples.add(data);
    store.set({ sampled: store.state.sampled + 1 });
  },
  model(store, data) {
    store.turn(nameOf(data), data.state, data.reason);
    if (data.state !== "starting") store.put("progress", nameOf(data), null);
  },
  progress(store, data) {
    store.put("progress", nameOf(data), data);
  },
  answer(store, data) {
    const rate = data.decode_tokens_per_second;
    if (typeof rate !== "number") return;
    const before = store.state.rates.get(nameOf(data)) ?? [];
    store.put("rates", nameOf(data), [...before, rate].slice(-MOST_RATES));
  },
  baseline(store, data) {
    store.put("baselines", nameOf(data), data.tokens_per_second);
  },
  benchmark(store, data) {
    store.set({ benchmark: data.stage === "ended" ? null : data });
  },
};

// The same object as before lets a row that did not change stay as it is.
function unchanged(before, now) {
  return before && JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

function learnSpeed(model, rates, baselines) {
  const [name, speed] = [nameOf(model), model.speed];
  if (!speed) return;
  if (!rates.get(name)?.length) rates.set(name, speed.recent_tokens_per_second.slice(-MOST_RATES));
  if (speed.baseline_tokens_per_second !== null) {
    baselines.set(name, speed.baseline_tokens_per_second);
  }
}

export const store = new Store();

/** Returns what `select` takes from the state, and draws anew when that is another value. */
export function useStore(select) {
  const [, redraw] = useReducer((times) => times + 1, 0);
  const drawn = useRef();
  const chosen = useRef();
  chosen.current = select;
  drawn.current = select(store.state);
  useEffect(() => {
    const look = () => {
      if (chosen.current(store.state) !== drawn.current) redraw();
    };
    look(); // effects come after drawing: what has changed in between was told to nobody
    return store.subscribe(look);
  }, []);
  return drawn.current;
}
