import { createContext } from 'preact';
import { useContext, useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { LoneKey } from './scanner';

type Handler = (key: LoneKey) => boolean;
/** From the lowest layer to the highest, in a layer from the oldest to the newest. */
const handlers: Handler[] = [];
const layers: number[] = [];

/** How many sheets a component stands on: 0 on the screen. */
export const Layer = createContext(0);

/** Offers the key to the highest layer first, there to the newest listener. */
export function pressKey(key: LoneKey): boolean {
  for (let i = handlers.length - 1; i >= 0; i--) {
    const handler = handlers[i];
    if (handler && handler(key)) return true;
  }
  return false;
}

// A screen that comes up together with a sheet listens after it, as it waits to be painted: age alone would put it on top.
function listener(ref: { current: Handler }, layer: number): () => void {
  const handler: Handler = (key) => ref.current(key);
  let at = handlers.length;
  while (at > 0 && (layers[at - 1] || 0) > layer) at--;
  handlers.splice(at, 0, handler);
  layers.splice(at, 0, layer);
  return () => {
    const now = handlers.indexOf(handler);
    handlers.splice(now, 1);
    layers.splice(now, 1);
  };
}

/** Hears keys while the component is on screen. */
export function useKeys(handler: Handler): void {
  const ref = useRef(handler);
  ref.current = handler;
  const layer = useContext(Layer);
  useEffect(() => listener(ref, layer), []);
}

/** The same, below whatever the children listen to: a sheet that keeps keys from the screen under it. */
export function useKeysUnderChildren(handler: Handler): void {
  const ref = useRef(handler);
  ref.current = handler;
  const layer = useContext(Layer);
  useLayoutEffect(() => listener(ref, layer), []);
}
