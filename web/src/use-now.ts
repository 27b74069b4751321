import { useEffect, useState } from "preact/hooks";

/** The wall clock, for ages; new every `every_ms`. */
export function useNow(every_ms = 1000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}
