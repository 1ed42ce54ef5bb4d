// Light, dark, or what the system says; the choice is kept in this browser.

const KEY = "orac-theme";

export const THEMES = ["system", "light", "dark"];

function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // Storage may be forbidden.
  }
}

export const theme = {
  current: THEMES.includes(kept()) ? kept() : "system",
  choose(name) {
    theme.current = name;
    show();
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // It holds as long as the page, then.
    }
  },
};

/** Calls back when the colours have changed; returns what ends that. */
export function whenColoured(callback) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const types = [[window, "themechange"], [dark, "change"]];
  for (const [target, type] of types) target.addEventListener(type, callback);
  return () => {
    for (const [target, type] of types) target.removeEventListener(type, callback);
  };
}

function show() {
  document.documentElement.dataset.theme = theme.current;
  dispatchEvent(new Event("themechange"));
}

show();
