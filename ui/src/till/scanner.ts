/** A wedge scanner types a code as a burst of keys; a person does not. Told apart by speed, on every screen. */

/** Longest pause inside a burst, in milliseconds. */
const GAP_MS = 35;
/** Longest pause before the closing Enter or Tab. */
const END_MS = 100;
/** Shortest code that counts as a scan. */
const LENGTH_MIN = 6;

export interface LoneKey {
  key: string;
  repeat: boolean;
}

interface Handlers {
  scan: (code: string) => void;
  /** A key pressed by a person outside any field. True when it was used. */
  key: (key: LoneKey) => boolean;
}

const SIGNS: Record<string, string> = { Minus: '-', Period: '.', Slash: '/', Space: ' ', Equal: '=', NumpadSubtract: '-', NumpadDecimal: '.', NumpadDivide: '/' };

/**
 * The character a scanner meant: scanners type as on an American keyboard, so the place of the key counts,
 * not what this machine's layout makes of it (unshifted digits are letters on a French one).
 */
export function scannedChar(event: Pick<KeyboardEvent, 'code' | 'key' | 'shiftKey'>): string | null {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  if (digit && digit[1]) return digit[1];
  const letter = /^Key([A-Z])$/.exec(event.code);
  if (letter && letter[1]) return event.shiftKey ? letter[1] : letter[1].toLowerCase();
  const sign = SIGNS[event.code];
  if (sign !== undefined) return sign;
  return event.key.length === 1 ? event.key : null;
}

function editable(target: EventTarget | null): target is HTMLInputElement {
  const name = (target as HTMLElement | null)?.tagName;
  return name === 'INPUT' || name === 'TEXTAREA';
}

function pressable(target: EventTarget | null): boolean {
  const name = (target as HTMLElement | null)?.tagName;
  return name === 'BUTTON' || name === 'SELECT';
}

/** Listens for the life of the page; answers a function that stops it. */
export function listenKeys(handlers: Handlers): () => void {
  let code = '';
  let pending: LoneKey[] = [];
  let last = 0;
  let timer = 0;
  let field: HTMLInputElement | null = null;
  let before = '';

  const reset = () => {
    clearTimeout(timer);
    code = '';
    pending = [];
    field = null;
  };
  const flush = () => {
    const keys = field ? [] : pending;
    reset();
    keys.forEach(handlers.key);
  };

  const onKeydown = (event: KeyboardEvent) => {
    if (event.key === 'Shift' || event.isComposing) return;
    if (event.ctrlKey || event.altKey || event.metaKey) {
      flush();
      return;
    }
    const now = event.timeStamp || performance.now();
    if (event.key === 'Enter' || event.key === 'Tab') {
      if (code.length >= LENGTH_MIN && now - last <= END_MS) {
        event.preventDefault();
        event.stopImmediatePropagation();
        const scanned = code;
        if (field) {
          field.value = before;
          field.dispatchEvent(new Event('input', { bubbles: true }));
        }
        reset();
        handlers.scan(scanned);
        return;
      }
      flush();
      if (event.key === 'Enter' && !editable(event.target) && !pressable(event.target)
        && handlers.key({ key: 'Enter', repeat: event.repeat })) event.preventDefault();
      return;
    }
    const char = scannedChar(event);
    if (char === null) {
      flush();
      const own = /^(F\d+|Escape)$/.test(event.key);
      if ((own || !editable(event.target)) && handlers.key({ key: event.key, repeat: event.repeat })) event.preventDefault();
      return;
    }
    if (!code || now - last > GAP_MS) {
      flush();
      if (editable(event.target)) {
        field = event.target;
        before = field.value;
      }
    }
    code += char;
    pending.push({ key: /^\d$/.test(char) ? char : event.key, repeat: event.repeat });
    last = now;
    // A space on a focused button would press it, a slash opens a search bar in some engines.
    if (!field && (char === ' ' || char === '/')) event.preventDefault();
    clearTimeout(timer);
    timer = window.setTimeout(flush, code.length >= LENGTH_MIN ? END_MS + 20 : GAP_MS + 10);
  };

  document.addEventListener('keydown', onKeydown, true);
  return () => {
    reset();
    document.removeEventListener('keydown', onKeydown, true);
  };
}
