import { KEY_HELP } from "../shortcuts";
import { Sheet } from "./sheet";

/** The player's keys. */
export function KeyHelp({ onClose }: { onClose: () => void }) {
  return (
    <Sheet id="keys-title" title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEY_HELP.map(([keys, does]) => (
          <div key={does}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Sheet>
  );
}
