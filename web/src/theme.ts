/** Dark, light, or as the system has it; kept in this browser. */

export type Theme = "system" | "dark" | "light";

const KEY = "kinolog.theme";
const ORDER: Theme[] = ["system", "dark", "light"];

export function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return ORDER.find((theme) => theme === kept) ?? "system";
  } catch {
    return "system"; // storage is refused in some private windows
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // kept for this page only
  }
}

export const nextTheme = (theme: Theme): Theme =>
  ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "system";
