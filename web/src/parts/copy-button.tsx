import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icons";

/** Copies `text`; on plain HTTP, where the clipboard's API is missing, by a selection. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "off-screen";
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("copying was refused");
}

interface Copied {
  text: string;
  /** For those who hear the button. */
  what: string;
  label?: string;
}

export function CopyButton({ text, what, label = "Copy" }: Copied) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(""), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  const act = () => {
    copy(text).then(
      () => setSaid("Copied"),
      () => setSaid("Select it"),
    );
  };
  return (
    <button type="button" class="copy" onClick={act} aria-label={`Copy ${what}`}>
      <Icon name={said === "Copied" ? "check" : "copy"} />
      <span aria-live="polite">{said || label}</span>
    </button>
  );
}

/** A line to paste into a terminal or a form. */
export function Command({ text, what }: { text: string; what: string }) {
  return (
    <div class="command">
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} what={what} />
    </div>
  );
}
