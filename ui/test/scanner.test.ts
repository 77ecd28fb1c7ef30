import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { listenKeys, scannedChar } from '../src/till/scanner';

const CODES: Record<string, string> = { '-': 'Minus', '.': 'Period' };
const codeOf = (ch: string) => /\d/.test(ch) ? 'Digit' + ch : CODES[ch] || 'Key' + ch.toUpperCase();
// What a French layout makes of the unshifted digit row.
const AZERTY = 'à&é"\'(-è_ç';

describe('keys', () => {
  let now = 0;
  let stop = () => {};
  const scans: string[] = [];
  const keys: string[] = [];
  const press = (key: string, code: string, gap: number, target: Element = document.body) => {
    now += gap;
    vi.advanceTimersByTime(gap);
    const event = new KeyboardEvent('keydown', { key, code, shiftKey: /[A-Z]/.test(key), bubbles: true, cancelable: true });
    Object.defineProperty(event, 'timeStamp', { value: now });
    const allowed = target.dispatchEvent(event);
    if (allowed && key.length === 1 && target instanceof HTMLInputElement) target.value += key;
    return allowed;
  };
  const type = (text: string, gap: number, target?: Element, layout = (ch: string) => ch) => {
    for (const ch of text) press(layout(ch), codeOf(ch), gap, target);
  };
  beforeEach(() => {
    vi.useFakeTimers();
    scans.length = 0;
    keys.length = 0;
    now = 1000;
    document.body.innerHTML = '<input><button></button>';
    stop = listenKeys({ scan: (code) => scans.push(code), key: ({ key }) => { keys.push(key); return true; } });
  });
  afterEach(() => {
    stop();
    vi.useRealTimers();
  });

  it('a burst that Enter ends is a scan, and its Enter presses nothing', () => {
    type('6130000000370', 8);
    expect(press('Enter', 'Enter', 8)).toBe(false);
    expect(scans).toEqual(['6130000000370']);
    vi.advanceTimersByTime(500);
    expect(keys).toEqual([]);
  });
  it('Tab ends a scan as well', () => {
    type('6130000000370', 8);
    press('Tab', 'Tab', 8);
    expect(scans).toEqual(['6130000000370']);
  });
  it('on a French layout the digits are still digits', () => {
    type('6130000000370', 8, undefined, (ch) => AZERTY.charAt(Number(ch)));
    press('Enter', 'Enter', 8);
    expect(scans).toEqual(['6130000000370']);
  });
  it('letters and dashes of a SKU arrive as the label has them', () => {
    type('TRL-ATL-1042', 8);
    press('Enter', 'Enter', 8);
    expect(scans).toEqual(['TRL-ATL-1042']);
  });
  it('a person typing the same code is no scanner', () => {
    type('6130000000370', 120);
    press('Enter', 'Enter', 120);
    expect(scans).toEqual([]);
    expect(keys.join('')).toBe('6130000000370Enter');
  });
  it('a short burst is no code', () => {
    type('12345', 5);
    press('Enter', 'Enter', 5);
    expect(scans).toEqual([]);
    expect(keys.join('')).toBe('12345Enter');
  });
  it('a burst without an end is no scan', () => {
    type('6130000000370', 8);
    vi.advanceTimersByTime(500);
    press('Enter', 'Enter', 500);
    expect(scans).toEqual([]);
  });
  it('a scan into a field leaves the field as it was', () => {
    const input = document.querySelector('input') as HTMLInputElement;
    input.value = 'chau';
    type('6130000000370', 8, input);
    expect(press('Enter', 'Enter', 8, input)).toBe(false);
    expect(input.value).toBe('chau');
    expect(scans).toEqual(['6130000000370']);
  });
  it('what is typed into a field stays there and reaches no shortcut', () => {
    const input = document.querySelector('input') as HTMLInputElement;
    type('abc', 150, input);
    vi.advanceTimersByTime(500);
    expect(input.value).toBe('abc');
    expect(keys).toEqual([]);
  });
  it('function keys work from inside a field', () => {
    press('F12', 'F12', 50, document.querySelector('input') as Element);
    expect(keys).toEqual(['F12']);
  });
  it('Enter on a focused button is left to the button', () => {
    expect(press('Enter', 'Enter', 50, document.querySelector('button') as Element)).toBe(true);
    expect(keys).toEqual([]);
  });
  it('two scans in a row are two scans', () => {
    type('6130000000370', 6);
    press('Enter', 'Enter', 6);
    type('6130000000394', 6);
    press('Enter', 'Enter', 6);
    expect(scans).toEqual(['6130000000370', '6130000000394']);
  });
});

it('the place of a key counts before its sign', () => {
  expect(scannedChar({ code: 'KeyQ', key: 'a', shiftKey: false })).toBe('q');
  expect(scannedChar({ code: 'Numpad7', key: '7', shiftKey: false })).toBe('7');
  expect(scannedChar({ code: '', key: 'x', shiftKey: false })).toBe('x');
  expect(scannedChar({ code: 'F2', key: 'F2', shiftKey: false })).toBe(null);
});
