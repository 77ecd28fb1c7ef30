import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer } from '../bindings/Answer';
import type { CompletedView } from '../bindings/CompletedView';
import type { PrintState } from '../bindings/PrintState';
import type { TenderInput } from '../bindings/TenderInput';
import type { TenderKind } from '../bindings/TenderKind';
import { Icon, Ltr, Pill } from '../shared/parts';
import { Bar, Keypad, SyncPill, typed, Typed, typedMinor } from './controls';
import { useKeys } from './keys';
import { openMenu, openSyncSheet } from './menu';
import { openReceipt } from './receipts';
import { CartLines, CartSums, CurrencySymbol } from './sale';
import { ask, cart, completing, go, refresh, run, runApproved, sayRefusal, status, wide } from './state';
import { Bare, codeText, Face, Money, t, tx } from './texts';

/**
 * Completes the sale with this tender; where it does not cover what is due it is recorded as a part, and the
 * till decides which of the two it is.
 */
function pay(tender: TenderInput, taken: () => void): void {
  const now = cart.value;
  if (!now || completing.value) return;
  completing.value = true;
  ask({ type: 'Complete', sale: now.sale, tenders: [tender], approval: null }).then((answer): Promise<Answer | null> | Answer | null => {
    if (answer && 'refused' in answer && answer.refused.code === 'underpaid') return ask({ type: 'AddTender', tender });
    if (answer && 'refused' in answer && answer.refused.code === 'cash_ceiling_approval_required') {
      return runApproved((approval) => ({ type: 'Complete', sale: now.sale, tenders: [tender], approval }), t('approve_cash')).then((reply) => reply ? { ok: reply } : null);
    }
    return answer;
  }).then((answer) => {
    completing.value = false;
    if (!answer) return;
    if ('refused' in answer) {
      sayRefusal(answer.refused);
      // Another screen may have finished this sale: show what the till holds.
      if (answer.refused.code === 'other_cart' || answer.refused.code === 'empty_cart') {
        go({ at: 'home' });
        ask({ type: 'GetCart' });
      }
    } else if (answer.ok.type === 'Completed') {
      go({ at: 'change', done: answer.ok });
      refresh();
    } else taken();
  });
}

const ICONS: [TenderKind, 'cash' | 'card' | 'other'][] = [['cash', 'cash'], ['card', 'card'], ['other', 'other']];

export function Tender() {
  const [kind, setKind] = useState<TenderKind>('cash');
  const [text, setText] = useState('');
  const [reference, setReference] = useState('');
  const [amountActive, setAmountActive] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const now = cart.value;
  const dead = completing.value;
  const taken = () => {
    setText('');
    setReference('');
    setAmountActive(false);
  };
  const choose = (next: TenderKind) => {
    setKind(next);
    taken();
  };
  const exact = () => pay({ kind: 'cash', amount_minor: null, reference: null }, taken);
  const minor = typedMinor(text);
  const submit = () => {
    if (kind === 'cash') {
      if (!text) exact();
      else if (minor !== null) pay({ kind: 'cash', amount_minor: minor, reference: null }, taken);
    } else pay({ kind, amount_minor: text ? minor : null, reference: reference.trim() || null }, taken);
  };
  useKeys(({ key, repeat }) => {
    if (key === 'Enter' && !repeat) submit();
    else if (key === 'F12') return true;
    else return key === 'Enter';
    return true;
  });
  useEffect(() => {
    if (kind !== 'cash' && wide.value && field.current) field.current.focus();
  }, [kind]);
  if (!now) return null;
  const press = (key: string) => {
    if (kind !== 'cash' && !amountActive) setReference((was) => key === 'Backspace' ? was.slice(0, -1) : key === '.' ? was : (was + key).slice(0, 40));
    else setText((was) => typed(was, key));
  };
  const due = kind === 'cash' ? now.due_cash_minor : now.due_minor;
  const panel = <main class="tender">
    <div class="due"><span class="quiet">{now.tenders.length ? t('due_rest') : t('due')}</span><b data-testid="due" data-minor={due}><Money minor={due} /></b>
      {kind === 'cash' && now.due_cash_minor !== now.due_minor ? <span class="quiet">{t('cash_rounded')}{' · '}<Money minor={now.due_minor} /></span> : null}</div>
    {now.tenders.length ? <ul class="taken">{now.tenders.map((tender, i) => <li key={i}><span>{t(tender.kind)}{tender.reference ? <span class="quiet">{' · '}<Ltr>{tender.reference}</Ltr></span> : null}</span>
      <b><Money minor={tender.amount_minor} /></b><button type="button" class="ib" aria-label={t('remove')} data-testid={'tender-remove-' + i} onClick={() => run({ type: 'RemoveTender', index: i })}><Icon name="cross" /></button></li>)}</ul> : null}
    {kind === 'cash' ? now.warnings.filter((warning) => warning.code === 'cash_above_ceiling').map((warning) => <p key={warning.code} class="note wait" data-testid="cash-warning"><Icon name="alert" /><span>{codeText(warning.code, warning.params)}</span></p>) : null}
    <div class="tabs" role="tablist">{ICONS.map(([name, key]) => <button key={name} type="button" role="tab" aria-selected={kind === name} class={kind === name ? 'on' : ''} data-testid={'tender-' + name} onClick={() => choose(name)}>{t(key)}</button>)}</div>
    <div class="tender-body">
      {kind === 'cash' ? <div>
        {text ? <Typed text={text} unit={<CurrencySymbol />} />
          : <div class="quick">{now.quick_cash_minor.slice(0, 4).map((note) => <button key={note} type="button" class="quick-note" data-testid={'tender-quick-' + note} disabled={dead} onClick={() => pay({ kind: 'cash', amount_minor: note, reference: null }, taken)}><Face minor={note} /></button>)}</div>}
        {text ? <button type="button" class="btn go wide tall exact" data-testid="tender-typed" disabled={dead || minor === null} onClick={submit}><span>{minor === null ? t('apply') : tx('tender_take', { amount: <Money minor={minor} /> })}</span></button>
          : <button type="button" class="btn go wide tall exact" data-testid="tender-exact" disabled={dead} onClick={exact}><span>{t('exact')}{'\u00a0· '}<Money minor={now.due_cash_minor} /></span></button>}
      </div> : <div>
        <div class="pay-fields">
          <label class={amountActive ? 'field' : 'field on'}><span>{kind === 'card' ? t('reference_card') : t('reference_other')}</span>
            <input ref={field} data-testid="tender-reference" dir="ltr" autocomplete="off" maxLength={40} value={reference} onFocus={() => setAmountActive(false)}
              onInput={(event) => setReference(event.currentTarget.value)} onKeyDown={(event) => { if (event.key === 'Enter' && reference.trim()) submit(); }} /></label>
          <div class={amountActive ? 'field on' : 'field'}><span>{t('amount')}</span>
            <button type="button" class="input" data-testid="tender-amount" onClick={() => setAmountActive(true)}>{text ? <Ltr>{text}</Ltr> : <span class="quiet">{t('amount_rest')}</span>}</button></div>
        </div>
        <button type="button" class="btn go wide tall exact" data-testid="tender-go" disabled={dead || !reference.trim() || (text !== '' && minor === null)} onClick={submit}>
          <span>{t(kind)}{'\u00a0· '}{text && minor !== null ? <Money minor={minor} /> : <Money minor={now.due_minor} />}</span></button>
      </div>}
    </div>
    <Keypad press={press} corner="." />
  </main>;
  return <div class="app">
    <Bar title={t('tender_title')} back={() => go({ at: 'home' })}><SyncPill compact open={openSyncSheet} /></Bar>
    {wide.value ? <div class="desk"><section class="desk-cart"><CartLines still /><footer class="foot"><CartSums /></footer></section>{panel}</div> : panel}
  </div>;
}

/** From here on the change no longer fits a handheld's width in the largest type. */
const LONG_MINOR = 1000000;

/** Follows the receipt's print job: the poll keeps it fresh, the change never waits for it. */
function PrintPill({ done }: { done: CompletedView }) {
  const printer = status.value?.printer;
  const [state, setState] = useState<PrintState | null>(null);
  const queued = printer ? printer.queued : 0;
  const uncertain = printer ? printer.uncertain : 0;
  useEffect(() => {
    ask({ type: 'ListPrintJobs' }).then((answer) => {
      if (!answer || !('ok' in answer) || answer.ok.type !== 'PrintJobs') return;
      const job = answer.ok.jobs.filter((one) => one.job === done.job)[0];
      setState(job ? job.state : 'printed');
    });
  }, [queued, uncertain, done.job]);
  if (!printer || !done.job || printer.target.type === 'none') return <Pill tone="">{t('print_none')}</Pill>;
  if (state === null || state === 'claimed') return <Pill tone="">{t('print_printing')}</Pill>;
  if (state === 'queued') return printer.problem ? <Pill tone="wait">{t('print_waiting')}{' · '}{codeText(printer.problem)}</Pill> : <Pill tone="">{t('print_printing')}</Pill>;
  if (state === 'uncertain') return <Pill tone="wait">{t('print_uncertain')}</Pill>;
  return <Pill tone="ok">{t('print_sent')}</Pill>;
}

export function Change({ done }: { done: CompletedView }) {
  const next = () => go({ at: 'home' });
  useKeys(({ key, repeat }) => {
    if ((key === 'Enter' && !repeat) || key === 'Escape') next();
    else return false;
    return true;
  });
  return <div class="app">
    <header class="bar"><button type="button" class="ib" aria-label={t('menu')} data-testid="menu" onClick={openMenu}><Icon name="menu" /></button>
      <span class="fill" /><SyncPill open={openSyncSheet} /></header>
    <main class="change" onClick={(event) => { if (event.target === event.currentTarget) next(); }}>
      <span class="change-word">{t('change')}</span>
      <b class={'change-sum' + (done.change_minor ? '' : ' nil') + (done.change_minor >= LONG_MINOR ? ' long' : '')} data-testid="change-due" data-minor={done.change_minor}><Bare minor={done.change_minor} /><small><CurrencySymbol /></small></b>
      <p class="quiet">{tx('change_total', { amount: <Money minor={done.total_minor} /> })}{done.cash_minor ? [' · ', tx('change_received', { amount: <Money minor={done.cash_minor} /> })] : null}</p>
      <p class="change-print"><PrintPill done={done} /></p>
      <p class="quiet small"><Ltr><span data-testid="receipt-number">{done.number}</span></Ltr></p>
    </main>
    <footer class="foot"><p class="quiet center lead">{t('change_next')}</p><div class="foot-row">
      <button type="button" class="btn side-text" data-testid="see-receipt" onClick={() => openReceipt(done.number)}><Icon name="receipt" />{t('see_receipt')}</button>
      <button type="button" class="btn go tall grow" data-testid="new-sale" onClick={next}>{t('new_sale')}</button></div></footer>
  </div>;
}
