import { useEffect, useState } from "preact/hooks";
import { edgeClock, edgeNow } from "./edge-clock";

/** The edge's clock, for ages; new every `every_ms`. */
export function useNow(every_ms = 1000): number {
  const [now, setNow] = useState(edgeNow);
  useEffect(() => {
    void edgeClock().then(() => setNow(edgeNow()));
    const timer = setInterval(() => setNow(edgeNow()), every_ms);
    return () => clearInterval(timer);
  }, [every_ms]);
  return now;
}
