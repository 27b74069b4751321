import { render } from "preact";
import { App } from "./app";
import { edgeClock } from "./edge-clock";
import "./style.css";
import { applyTheme, readTheme } from "./theme";

applyTheme(readTheme());
void edgeClock();
const root = document.getElementById("app");
if (root) render(<App />, root);
