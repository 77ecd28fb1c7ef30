import { useEffect, useState } from 'preact/hooks';
import type { PrintJobView } from '../bindings/PrintJobView';
import type { ReceiptRow } from '../bindings/ReceiptRow';
import type { ReceiptView } from '../bindings/ReceiptView';
import { formatQuantity, formatTime } from '../shared/format';
import { Empty, Icon, Ltr, Pill } from '../shared/parts';
import { Bar, SheetFrame } from './controls';
import { ask, closeSheet, go, openSheet, refresh, run, runApproved, say, screen, status, wide, type Screen } from './state';
import { codeText, Money, t, tx, type TillKey } from './texts';

let cameFrom: Screen = { at: 'home' };

export function openReceipt(number: string): void {
  run({ type: 'GetReceipt', number }).then((reply) => {
    if (!reply || reply.type !== 'Receipt') return;
    if (screen.value.at !== 'receipt') cameFrom = screen.value;
    go({ at: 'receipt', view: reply });
  });
}

export function reprintLast(): void {
  run({ type: 'ReprintLast' }).then((reply) => {
    if (!reply) return;
    say({ text: t('reprinted') });
    refresh();
  });
}

const REASONS: TillKey[] = ['reason_mistake', 'reason_shopper', 'reason_payment'];

function ReverseBody({ id, number, done }: { id: number; number: string; done: () => void }) {
  const [other, setOther] = useState('');
  const reverse = (reason: string) => {
    closeSheet(id);
    runApproved((approval) => ({ type: 'ReverseSale', number, reason, approval }), tx('approve_reverse', { number: <Ltr>{number}</Ltr> })).then((reply) => {
      if (!reply) return;
      say({ text: t('reverse_done') });
      refresh();
      done();
    });
  };
  return <SheetFrame id={id} title={t('reverse')}>
    <div class="sheet-body"><p class="lead">{t('reverse_hint')}</p><p class="quiet">{t('reverse_why')}</p>
      <div class="stack">{REASONS.map((key, i) => <button key={key} type="button" class="btn wide" data-testid={'reverse-reason-' + i} onClick={() => reverse(t(key))}>{t(key)}</button>)}</div>
      <form class="park-form" onSubmit={(event) => { event.preventDefault(); if (other.trim()) reverse(other.trim()); }}>
        <input class="input" maxLength={120} dir="auto" aria-label={t('reason_other')} placeholder={t('reason_other')} value={other} onInput={(event) => setOther(event.currentTarget.value)} />
        <button type="submit" class="btn" disabled={!other.trim()}>{t('apply')}</button></form></div>
  </SheetFrame>;
}

function ReceiptPane({ view, done }: { view: ReceiptView; done: () => void }) {
  const row = view.row;
  return <main class="receipt-pane">
    <div class="receipt-paper scroll" tabIndex={0}><img data-testid="receipt-png" alt={row.number} src={'data:image/png;base64,' + view.png_base64} /></div>
    <div class="receipt-side">
      <p class="receipt-marks">{row.reversed ? <Pill tone="bad">{t('reversed')}</Pill> : null}{view.copies ? <Pill tone="">{tx('copies', { count: view.copies })}</Pill> : null}</p>
      <button type="button" class="btn wide" data-testid="reprint" onClick={() => run({ type: 'Reprint', number: row.number }).then((reply) => {
        if (!reply) return;
        say({ text: t('reprinted') });
        done();
      })}><Icon name="print" />{t('reprint')}</button>
      {row.reversible ? <button type="button" class="btn wide danger" data-testid="reverse" onClick={() => {
        const id = openSheet(() => <ReverseBody id={id} number={row.number} done={done} />);
      }}>{t('reverse')}</button> : null}
    </div>
  </main>;
}

export function Receipt({ view }: { view: ReceiptView }) {
  return <div class="app"><Bar title={<Ltr>{view.row.number}</Ltr>} back={() => go(cameFrom)} /><ReceiptPane view={view} done={() => openReceipt(view.row.number)} /></div>;
}

export function Receipts() {
  const [query, setQuery] = useState('');
  const [rows, setRows] = useState<ReceiptRow[] | null>(null);
  const [view, setView] = useState<ReceiptView | null>(null);
  const load = () => ask({ type: 'ListReceipts', query: query.trim(), limit: 50 }).then((answer) => {
    if (answer && 'ok' in answer && answer.ok.type === 'Receipts') setRows(answer.ok.receipts);
  });
  useEffect(() => {
    const timer = setTimeout(load, rows ? 150 : 0);
    return () => clearTimeout(timer);
  }, [query]);
  const show = (number: string) => {
    if (!wide.value) openReceipt(number);
    else run({ type: 'GetReceipt', number }).then((reply) => { if (reply && reply.type === 'Receipt') setView(reply); });
  };
  const list = <section class="list-side">
    <label class="search-field"><Icon name="search" /><input type="text" dir="ltr" data-testid="receipts-search" autocomplete="off" aria-label={t('receipts_search')} placeholder={t('receipts_search')} value={query} onInput={(event) => setQuery(event.currentTarget.value)} /></label>
    <div class="scroll"><ul class="rows flush">{(rows || []).map((row) => <li key={row.number}><button type="button" class={view && view.row.number === row.number ? 'row tap on' : 'row tap'} data-testid={'receipt-' + row.number} onClick={() => show(row.number)}>
      <span class="row-main"><b><Ltr>{row.number}</Ltr></b><span class="quiet"><Ltr>{formatTime(row.at)}</Ltr>{' · '}{tx('articles', { count: formatQuantity(Math.abs(row.units)) })}</span>
        {row.reverses ? <span class="off warn">{tx('reverses', { number: <Ltr>{row.reverses}</Ltr> })}</span> : row.reversed ? <span class="off warn">{t('reversed')}</span> : null}</span>
      <b class="row-n"><Money minor={row.total_minor} /></b></button></li>)}</ul>
      {rows && !rows.length ? <Empty icon="receipt">{t('receipts_none')}</Empty> : null}</div>
  </section>;
  return <div class="app"><Bar title={t('receipts')} back={() => go({ at: 'home' })} />
    {wide.value ? <div class="split">{list}<section class="split-main">{view ? <ReceiptPane key={view.row.number} view={view} done={() => { show(view.row.number); load(); }} /> : <main class="center-all fill-col"><Empty icon="receipt" title={t('receipts')} /></main>}</section></div> : <main class="mid">{list}</main>}</div>;
}

export function Prints() {
  const [jobs, setJobs] = useState<PrintJobView[] | null>(null);
  const printer = status.value?.printer;
  const load = () => ask({ type: 'ListPrintJobs' }).then((answer) => {
    if (answer && 'ok' in answer && answer.ok.type === 'PrintJobs') setJobs(answer.ok.jobs);
  });
  useEffect(() => { load(); }, [printer ? printer.queued : 0, printer ? printer.uncertain : 0]);
  const resolve = (job: PrintJobView, came_out: boolean) => run({ type: 'ResolvePrintJob', job: job.job, came_out }).then(() => {
    load();
    refresh();
  });
  return <div class="app"><Bar title={t('prints')} back={() => go({ at: 'home' })} />
    <main class="scroll narrow">
      {printer && printer.problem ? <p class="note wait"><Icon name="print" /><span>{codeText(printer.problem)}</span></p> : null}
      {jobs && !jobs.length ? <Empty icon="print">{t('prints_none')}</Empty> : null}
      <ul class="jobs">{(jobs || []).map((job) => <li key={job.job} class="job">
        <div class="job-head"><span class="row-main"><b><Ltr>{job.document}</Ltr></b><span class="quiet"><Ltr>{formatTime(job.at)}</Ltr>{job.cause ? [' · ', codeText(job.cause)] : null}</span></span>
          <Pill tone={job.state === 'uncertain' ? 'wait' : ''}>{t(('print_state_' + job.state) as TillKey)}</Pill></div>
        {job.state === 'uncertain' ? <div><p class="job-ask">{tx('print_question', { number: <Ltr>{job.document}</Ltr> })}</p>
          <div class="stack"><button type="button" class="btn wide" data-testid="print-came-out" onClick={() => resolve(job, true)}><Icon name="check" />{t('print_came_out')}</button>
            <button type="button" class="btn wide" data-testid="print-copy" onClick={() => resolve(job, false)}><Icon name="print" />{t('print_copy')}</button></div></div> : null}
      </li>)}</ul></main></div>;
}
