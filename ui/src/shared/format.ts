/** Numbers, times and ages as text. Latin digits in every language, as on notes and shop labels of both countries. */

function grouped(whole: string): string {
  let out = '';
  for (let i = 0; i < whole.length; i++) {
    if (i > 0 && (whole.length - i) % 3 === 0) out += '\u00a0';
    out += whole.charAt(i);
  }
  return out;
}

/** `1 234.567`: the format of the receipts. `minor` is an integer; all decimals are shown. */
export function formatAmount(minor: number, exponent: number): string {
  let digits = String(Math.abs(minor));
  while (digits.length <= exponent) digits = '0' + digits;
  const cut = digits.length - exponent;
  const text = grouped(digits.slice(0, cut)) + (exponent > 0 ? '.' + digits.slice(cut) : '');
  return minor < 0 ? '-' + text : text;
}

/** `360` for a whole amount, all decimals otherwise: the faces of notes and coins. */
export function formatFace(minor: number, exponent: number): string {
  return formatAmount(minor, exponent).replace(/\.0+$/, '');
}

/** Thousandths as `3` or `1.25`. */
export function formatQuantity(thousandths: number): string {
  return formatAmount(thousandths, 3).replace(/\.?0+$/, '');
}

/** Typed digits with at most one separator as an integer of `10^-scale`; null when that is no number. */
export function parseScaled(text: string, scale: number): number | null {
  const match = /^(\d*)(?:[.,](\d*))?$/.exec(text.replace(/[\s\u00a0]/g, ''));
  if (!match || (!match[1] && !match[2])) return null;
  let fraction = (match[2] || '').replace(/0+$/, '');
  if (fraction.length > scale) return null;
  while (fraction.length < scale) fraction += '0';
  const value = Number((match[1] || '0') + fraction);
  return value <= Number.MAX_SAFE_INTEGER ? value : null;
}

/** Local times come as ISO text; shown day first. Other text is shown as it is. */
export function formatTime(at: string): string {
  const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d))?/.exec(at);
  return m ? `${m[3]}/${m[2]}/${m[1]}${m[4] ? ' ' + m[4] : ''}` : at;
}

/** Unit and count for a length of time, in the largest unit that is at least one. */
export function ageParts(ms: number): { unit: 'seconds' | 'minutes' | 'hours' | 'days'; n: number } {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return { unit: 'seconds', n: s };
  if (s < 3600) return { unit: 'minutes', n: Math.floor(s / 60) };
  if (s < 172800) return { unit: 'hours', n: Math.floor(s / 3600) };
  return { unit: 'days', n: Math.floor(s / 86400) };
}
