import { describe, expect, it } from 'vitest';
import { ageParts, formatAmount, formatFace, formatQuantity, formatTime, parseScaled } from '../src/shared/format';
import { pluralForm, type Lang } from '../src/shared/plural';

const plain = (text: string) => text.replace(/\u00a0/g, ' ');

describe('amounts', () => {
  it.each([
    [119990, 3, '119.990'], [123456750, 2, '1 234 567.50'], [-5, 2, '-0.05'], [700, 2, '7.00'], [500, 3, '0.500'], [0, 3, '0.000'],
    [1234567, 3, '1 234.567'], [-337976, 3, '-337.976'], [999999, 3, '999.999'], [1000000, 3, '1 000.000'], [Number.MAX_SAFE_INTEGER, 3, '9 007 199 254 740.991'],
  ])('%i with %i decimals reads %s, as on receipts', (minor, exponent, text) => {
    expect(plain(formatAmount(minor, exponent))).toBe(text);
  });
  it.each([[360000, 3, '360'], [500, 3, '0.500'], [5, 3, '0.005'], [10050, 2, '100.50'], [20000, 2, '200']])('the face of %i is %s', (minor, exponent, text) => {
    expect(formatFace(minor, exponent)).toBe(text);
  });
  it.each([[1000, '1'], [12000, '12'], [1250, '1.25'], [-1000, '-1'], [0, '0'], [100000, '100'], [10, '0.01']])('%i thousandths read %s', (thousandths, text) => {
    expect(formatQuantity(thousandths)).toBe(text);
  });
  it.each([
    ['400', 3, 400000], ['12.5', 3, 12500], ['12,5', 3, 12500], ['0.005', 3, 5], ['.5', 2, 50], ['12.', 2, 1200], ['1.2345', 3, null], ['12.5000', 2, 1250],
    ['', 3, null], ['.', 3, null], ['1.2.3', 3, null], ['-4', 3, null], ['1e5', 3, null], ['99999999999999999', 3, null],
  ])('%s typed with %i decimals is %s', (text, scale, value) => {
    expect(parseScaled(text, scale)).toBe(value);
  });
  it('what is formatted reads back, for every amount up to 2000 and both exponents', () => {
    for (let minor = 0; minor < 2000; minor++) for (const exponent of [2, 3]) expect(parseScaled(formatAmount(minor * 997, exponent), exponent)).toBe(minor * 997);
  });
});

describe('times', () => {
  it.each([['2026-11-22T09:02:11', '22/11/2026 09:02'], ['2026-11-22', '22/11/2026'], ['2026-11-22 23:59', '22/11/2026 23:59'], ['hier', 'hier']])('%s is shown as %s', (at, text) => {
    expect(formatTime(at)).toBe(text);
  });
  it.each([[0, 'seconds', 0], [59999, 'seconds', 59], [60000, 'minutes', 1], [720000, 'minutes', 12], [3600000, 'hours', 1], [172799999, 'hours', 47], [172800000, 'days', 2]])('%i ms are %s', (ms, unit, n) => {
    expect(ageParts(ms)).toEqual({ unit, n });
  });
});

describe('plurals', () => {
  it.each<Lang>(['fr', 'ar', 'en'])('%s agrees with CLDR', (code) => {
    const rules = new Intl.PluralRules(code);
    for (const n of [...Array(1200).keys(), 1000000, 2000000, 1000001, 0.5, 1.25, 1.5, 2.5, 3.25, 11.5, 103.5]) {
      expect(`${n} ${pluralForm(code, n)}`).toBe(`${n} ${rules.select(n)}`);
      expect(`${n} ${pluralForm(code, formatQuantity(n * 1000))}`).toBe(`${n} ${rules.select(n)}`);
      expect(`${-n} ${pluralForm(code, -n)}`).toBe(`${-n} ${rules.select(-n)}`);
    }
  });
});
