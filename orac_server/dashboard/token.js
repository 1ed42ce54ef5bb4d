// The field for a token, which comes up when the server wants one.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { token } from "./api.js";
import { store, useStore } from "./store.js";

export function TokenDialog({ whenGiven }) {
  const refused = useStore((state) => state.refused);
  const dialog = useRef();
  useEffect(() => {
    if (refused && !dialog.current.open) dialog.current.showModal();
    if (!refused && dialog.current.open) dialog.current.close();
  }, [refused]);
  const give = (event) => {
    event.preventDefault();
    token.set(new FormData(event.target).get("token").trim());
    event.target.reset();
    store.set({ refused: null });
    whenGiven();
  };
  const leave = () => store.set({ refused: null });
  return html`<dialog class="token" ref=${dialog} onCancel=${leave} aria-labelledby="token-title">
    <form onSubmit=${give}>
      <h2 id="token-title">This server wants a token</h2>
      <p class="error" role="alert">${refused}</p>
      <label for="token">Token</label>
      <input id="token" name="token" type="password" autocomplete="off" required spellcheck=${false} />
      <p class="hint">It is kept in this tab only, and forgotten when that is closed.</p>
      <div class="buttons">
        <button class="primary">Use this token</button>
        <button type="button" onClick=${leave}>Not now</button>
      </div>
    </form>
  </dialog>`;
}
