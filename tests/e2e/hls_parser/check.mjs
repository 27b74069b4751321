// Reads a JSON array of {name, text} from standard input; parses each playlist in strict mode.
// Prints {"parsed": n, "failures": [{name, error}]}.
import * as HLS from "hls-parser";

HLS.setOptions({ strictMode: true });
let input = "";
for await (const piece of process.stdin) input += piece;
const failures = [];
const playlists = JSON.parse(input);
for (const { name, text } of playlists) {
  try {
    HLS.parse(text);
  } catch (error) {
    failures.push({ name, error: String(error) });
  }
}
console.log(JSON.stringify({ parsed: playlists.length, failures }));
