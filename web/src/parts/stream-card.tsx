import { type Stream, streamKey } from "../api";
import { makeup, sinceText } from "../format";
import { watchPath } from "../router";
import { Badge } from "./badge";
import { Still } from "./still";
import { Viewers } from "./viewers";

export function StreamCard({ stream, now }: { stream: Stream; now: number }) {
  return (
    <li class={`card card-${stream.state}`}>
      <a href={watchPath(stream)} aria-label={`Watch ${streamKey(stream)}, ${stream.state}`}>
        <div class="card-picture">
          <Still stream={stream} />
          <Badge state={stream.state} />
          <span class="since">{sinceText(stream, now)}</span>
        </div>
        <h3>{stream.name}</h3>
        <p class="makeup">
          {makeup(stream).map((word) => (
            <span key={word}>{word}</span>
          ))}
          <Viewers stream={stream} />
        </p>
      </a>
    </li>
  );
}
