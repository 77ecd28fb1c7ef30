import type { ComponentChildren } from 'preact';
import type { DiscountInput } from '../bindings/DiscountInput';
import type { RefusalCode } from '../bindings/RefusalCode';
import frRefusal from '../../i18n/fr/refusal.json';
import fr from '../../i18n/fr/till.json';
import { ageParts, formatAmount, formatFace } from '../shared/format';
import { catalogue, lang, type NodeParams } from '../shared/i18n';
import { Ltr } from '../shared/parts';
import { status } from './state';

// French is part of the script: it is there when nothing else can be loaded. A refusal without a text is an error of the
// type check; that the other languages have every key is seen to by a test.
type TillKey = keyof typeof fr;
const texts = catalogue<TillKey>('till', fr);
const refusals = catalogue<RefusalCode>('refusal', frRefusal);

export const { t, tx } = texts;
export type { TillKey };

/** An amount with the store's currency: the number left to right, the symbol where the reading ends. */
export function Money({ minor, sign }: { minor: number; sign?: boolean }) {
  const currency = status.value?.store?.currency;
  if (!currency) return null;
  const symbol = lang.value === 'ar' ? currency.symbol_arabic : currency.symbol_latin;
  return <span class="money"><Ltr>{(sign && minor > 0 ? '+' : '') + formatAmount(minor, currency.exponent)}</Ltr>{'\u00a0'}<span>{symbol}</span></span>;
}

/** The number alone, where the currency stands nearby. */
export function Bare({ minor }: { minor: number }) {
  return <Ltr>{formatAmount(minor, exponent())}</Ltr>;
}

/** What is written on a note or coin. */
export function Face({ minor }: { minor: number }) {
  return <Ltr>{formatFace(minor, exponent())}</Ltr>;
}

export function exponent(): number {
  return status.value?.store?.currency.exponent ?? 2;
}

export function percentText(bp: number): string {
  return formatFace(bp, 2).replace(/(\.\d)0$/, '$1');
}

export function ageText(ms: number): string {
  const { unit, n } = ageParts(ms);
  const key: TillKey = unit === 'seconds' ? 'time_seconds' : unit === 'minutes' ? 'time_minutes' : unit === 'hours' ? 'time_hours' : 'time_days';
  return t(key, { n });
}

/** `10 %` or an amount; null for none. */
export function discountNode(discount: DiscountInput): ComponentChildren {
  if (discount.type === 'percent') return <Ltr>{percentText(discount.bp) + '\u00a0%'}</Ltr>;
  return discount.type === 'amount' ? <Money minor={discount.minor} /> : null;
}

/** Text of a refusal, warning or problem. Unknown codes (a newer core, a printer's own) are shown as they are. */
export function codeText(code: string, params: Record<string, string | number> = {}): ComponentChildren {
  if (!refusals.has(code)) {
    const cause = 'cause_' + code;
    return texts.has(cause) ? t(cause) : tx('problem_code', { code: <Ltr>{code}</Ltr> });
  }
  const shown: NodeParams = {};
  for (const name in params) {
    const value = params[name] as string | number;
    if (/_minor$/.test(name)) shown[name] = <Money minor={Number(value)} />;
    else if (/_ms$/.test(name)) shown[name] = ageText(Number(value) + 999);
    else if (/_bp$/.test(name)) shown[name] = <Ltr>{percentText(Number(value)) + '\u00a0%'}</Ltr>;
    else shown[name] = <Ltr>{value}</Ltr>;
  }
  const text = refusals.tx(code, shown);
  // Where cashiers count blind the till does not say what the drawer holds.
  return code === 'drawer_short' && shown.expected_minor ? [text, ' ', t('report_expected'), ' ', shown.expected_minor] : text;
}
