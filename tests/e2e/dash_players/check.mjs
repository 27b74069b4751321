// Reads a JSON array of {name, text} from standard input; parses each manifest with mpd-parser.
// Prints, for each, its playlists: {name, live, error?, video, audio}, each with a list of
// {uri, seconds} by period.
import { parse } from "mpd-parser";

let input = "";
for await (const piece of process.stdin) input += piece;
const segments = (playlist) =>
  (playlist?.segments ?? []).map(({ resolvedUri, duration, timeline }) => ({
    uri: resolvedUri,
    seconds: duration,
    timeline,
  }));
const found = JSON.parse(input).map(({ name, text }) => {
  const problems = [];
  try {
    const manifest = parse(text, {
      manifestUri: "http://edge/media/c/s/manifest.mpd",
      eventHandler: ({ type, message }) => type === "warn" && problems.push(message),
    });
    const audio = Object.values(manifest.mediaGroups.AUDIO.audio ?? {});
    return {
      name,
      problems,
      live: !manifest.endList,
      video: manifest.playlists.map(segments),
      audio: audio.flatMap((one) => one.playlists.map(segments)),
    };
  } catch (error) {
    return { name, problems: [...problems, String(error)], live: false, video: [], audio: [] };
  }
});
console.log(JSON.stringify(found));
