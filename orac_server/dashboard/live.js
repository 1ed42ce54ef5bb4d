// Keeps the page right: follows the server's events, asks anew what they do not tell, comes back.

import { Failure, follow, get, look } from "./api.js";

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8000;
const LOOK_MS = 10_000;
const SOON_MS = 200;
const QUIET_MS = 15_000;
const SILENT_MS = 45_000;

export class Live {
  constructor(store) {
    this.store = store;
    this.pause = FIRST_PAUSE_MS;
    this.heard = 0;
    this.soon = {};
    this.wake = () => {};
    this.leaving = new AbortController();
  }

  async run() {
    setInterval(() => this.check(), 1000);
    setInterval(() => this.look(), LOOK_MS);
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => this.look());
    for (;;) {
      await this.once();
      await this.rest();
    }
  }

  /** Comes back at once, as with another token. */
  restart() {
    this.pause = FIRST_PAUSE_MS;
    this.leaving.abort();
    this.wake();
  }

  async once() {
    this.leaving = new AbortController();
    try {
      for await (const event of follow("/v1/events", this.leaving.signal)) this.hear(event);
      this.lost("the connection has ended");
    } catch (error) {
      this.lost(error instanceof Failure ? error.message : "the connection broke", error.status);
    }
  }

  hear(event) {
    this.heard = Date.now();
    if (event.name === "hello") this.welcome();
    if (event.name === "lost") this.look();
    if (event.name === "done") this.lost("ORAC is stopping");
    if (["model", "baseline", "finding"].includes(event.name)) this.refresh("models");
    if (["model", "breaker", "health", "finding"].includes(event.name)) this.refresh("health");
    if (this.store.state.link.state === "stale") this.live();
    if (event.data) this.store.take(event);
  }

  welcome() {
    this.pause = FIRST_PAUSE_MS;
    this.live();
    this.look();
  }

  live() {
    this.store.set({ link: { state: "live", message: "live" } });
  }

  lost(reason, status = null) {
    const state = status === 401 ? "refused" : "lost";
    this.store.set({ link: { state, message: reason, since: this.heard } });
  }

  check() {
    const silent = Date.now() - this.heard;
    if (this.store.state.link.state !== "live" && this.store.state.link.state !== "stale") return;
    if (silent > SILENT_MS) this.leaving.abort();
    else if (silent > QUIET_MS && this.store.state.link.state === "live") this.grow(silent);
  }

  grow() {
    const message = "nothing was heard for a while";
    this.store.set({ link: { state: "stale", message, since: this.heard } });
  }

  rest() {
    const jitter = 0.75 + Math.random() / 2;
    const pause = this.store.state.link.state === "refused" ? 2 ** 30 : this.pause * jitter;
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, pause);
    });
  }

  look() {
    if (document.hidden || this.store.state.link.state === "refused") return;
    this.lookAt("models");
    this.lookAt("health");
  }

  /** Asks in a moment: one question for all that happens until then. */
  refresh(what) {
    this.soon[what] ??= setTimeout(() => {
      delete this.soon[what];
      this.lookAt(what);
    }, SOON_MS);
  }

  async lookAt(what) {
    try {
      if (what === "models") this.store.setModels((await get("/v1/models")).data);
      else this.store.set({ health: await look("/v1/health") });
    } catch (error) {
      if (what === "models") this.store.set({ modelsError: error.message });
    }
  }
}
