/** Questions to an edge, and what it says in words where it refuses. */

const PATIENCE_MS = 15_000;

/** The answer, whatever its status; an Error for a person where none comes. */
export async function ask(url: string, options: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch {
    throw new Error("the edge does not answer");
  }
}

export const postJson = (url: string, body: object): Promise<Response> =>
  ask(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** An edge's own sentence, where the answer is its own; else what came. */
export async function sentence(answer: Response): Promise<string> {
  const text = answer.headers.get("content-type")?.startsWith("text/plain") ? (await answer.text()).trim() : "";
  return text.slice(0, 300) || `the edge answered ${answer.status}`;
}
