import { formatAmount } from '../shared/format';
import { lang, type Lang } from '../shared/i18n';
import { showLang } from './languages';
import { ask, cart, closeSheets, go, hush, refresh, run, say, sayRefusal, scanRefusal, scanTo, sheets, view, type View } from './state';
import { soundBad, soundGood } from './sound';
import { t, type TillKey } from './texts';

/** Changes the language, then tells the till, which keeps it. One whose texts cannot be loaded is not taken. */
export function setLang(next: Lang): void {
  const before = lang.value;
  showLang(next).then((shown) => {
    if (shown === null) return undefined;
    if (!shown) {
      showLang(before);
      say({ text: t('language_failed'), bad: true });
      return undefined;
    }
    return ask({ type: 'GetSettings' }).then((answer) => {
      if (!answer || !('ok' in answer) || answer.ok.type !== 'Settings') return undefined;
      const { receipt_language, printer, profile } = answer.ok;
      return ask({ type: 'SetSettings', settings: { language: next, receipt_language, printer, profile } }).then(() => refresh());
    });
  });
}

const NO_SCAN: View[] = ['boot', 'enrol', 'signin', 'openshift', 'tender', 'cash', 'count', 'handover', 'close'];

/** A code from a scanner, on whatever screen: it sells, or a low tone says that this is not the moment. */
export function scan(code: string): void {
  if (sheets.value.length || NO_SCAN.indexOf(view.value) >= 0) {
    soundBad();
    say({ text: t('scan_not_here'), bad: true });
    return;
  }
  if (scanTo.value) {
    scanTo.value(code);
    return;
  }
  if (view.value !== 'sale') go({ at: 'home' });
  ask({ type: 'ScanCode', code }).then((answer) => {
    if (!answer) return;
    if ('ok' in answer) {
      scanRefusal.value = null;
      soundGood();
    } else if (answer.refused.code === 'receipt_code') {
      checkCode(code);
    } else {
      soundBad();
      scanRefusal.value = answer.refused;
    }
  });
}

/** Says what a scanned receipt is worth. */
function checkCode(text: string): void {
  run({ type: 'CheckCode', text }).then((reply) => {
    if (!reply || reply.type !== 'CodeChecked') {
      soundBad();
      return;
    }
    const { verdict, number, total_minor, currency, business_date, reversed_by } = reply;
    const symbol = lang.value === 'ar' ? currency.symbol_arabic : currency.symbol_latin;
    const params = { number, date: business_date, total: `${formatAmount(total_minor, currency.exponent)} ${symbol}` };
    const undone = verdict === 'genuine' && reversed_by !== null;
    if (verdict === 'genuine' && !undone) soundGood();
    else soundBad();
    const texts = [t(`code_${verdict}` as TillKey, params)];
    if (undone) texts.push(t('code_undone', { number: reversed_by }));
    say({ text: texts.join(' '), bad: verdict !== 'genuine' || undone });
  });
}

export function park(): void {
  const now = cart.value;
  if (!now || !now.lines.length) return;
  run({ type: 'Park', label: null }).then((reply) => {
    if (!reply) return;
    closeSheets();
    say({ text: t('parked_done') });
    if (reply.type !== 'Cart') ask({ type: 'GetCart' });
    refresh();
  });
}

export function charge(): void {
  const now = cart.value;
  if (!now) return;
  if (!now.lines.length) {
    sayRefusal({ code: 'empty_cart', params: {} });
    return;
  }
  hush();
  go({ at: 'tender' });
}

