import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { LoneKey } from './scanner';

type Handler = (key: LoneKey) => boolean;
const handlers: Handler[] = [];

/** Offers the key to the newest listener first. */
export function pressKey(key: LoneKey): boolean {
  for (let i = handlers.length - 1; i >= 0; i--) {
    const handler = handlers[i];
    if (handler && handler(key)) return true;
  }
  return false;
}

function listener(ref: { current: Handler }): () => void {
  const handler: Handler = (key) => ref.current(key);
  handlers.push(handler);
  return () => { handlers.splice(handlers.indexOf(handler), 1); };
}

/** Hears keys while the component is on screen. */
export function useKeys(handler: Handler): void {
  const ref = useRef(handler);
  ref.current = handler;
  useEffect(() => listener(ref), []);
}

/** The same, below whatever the children listen to: a sheet that keeps keys from the screen under it. */
export function useKeysUnderChildren(handler: Handler): void {
  const ref = useRef(handler);
  ref.current = handler;
  useLayoutEffect(() => listener(ref), []);
}
