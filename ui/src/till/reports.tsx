import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { BalanceView } from '../bindings/BalanceView';
import type { CashStampView } from '../bindings/CashStampView';
import type { CashMovement } from '../bindings/CashMovement';
import type { LevyView } from '../bindings/LevyView';
import type { PeriodKind } from '../bindings/PeriodKind';
import type { PeriodView } from '../bindings/PeriodView';
import type { ReportRow } from '../bindings/ReportRow';
import type { ReportView } from '../bindings/ReportView';
import type { TaxView } from '../bindings/TaxView';
import { accountName } from '../shared/accounts';
import { formatTime } from '../shared/format';
import { Empty, Icon, Ltr, Pill, Qty } from '../shared/parts';
import { Bar } from './controls';
import { go, refresh, run, runApproved, say, status, type Screen } from './state';
import { Bare, Face, Money, t, tx, type TillKey } from './texts';

export function Fact({ label, children, strong }: { label: ComponentChildren; children: ComponentChildren; strong?: boolean }) {
  return <div class={strong ? 'fact strong' : 'fact'}><span>{label}</span><b>{children}</b></div>;
}

const TENDERS: [string, TillKey][] = [['cash', 'cash'], ['card', 'card'], ['other', 'other']];
const MOVED: [CashMovement, TillKey][] = [['pay_in', 'pay_in'], ['pay_out', 'pay_out'], ['drop', 'drop']];
const PERIODS: Record<PeriodKind, TillKey> = { day: 'period_day', month: 'period_month', year: 'period_year' };

/** One amount per kind, in a fixed order; nothing for kinds that did not occur. */
function Kinds({ kinds, of }: { kinds: [string, TillKey][]; of: Record<string, number> }) {
  return <>{kinds.map(([kind, key]) => of[kind] !== undefined ? <Fact key={kind} label={t(key)}><span data-testid={'moved-' + kind} data-minor={of[kind]}><Money minor={of[kind]} /></span></Fact> : null)}</>;
}

function Taxes({ taxes, levies }: { taxes: TaxView[]; levies: LevyView[] }) {
  return <>{taxes.map((tax) => [<Fact key={'n' + tax.rate} label={tx('report_net', { rate: <Ltr>{tax.rate}</Ltr> })}><Money minor={tax.net_minor} /></Fact>,
    <Fact key={'t' + tax.rate} label={tx('report_tax', { rate: <Ltr>{tax.rate}</Ltr> })}><Money minor={tax.tax_minor} /></Fact>])}
  {levies.map((levy) => <Fact key={levy.code} label={t('levy')}><Money minor={levy.minor} /></Fact>)}</>;
}

/** What the firm declares: receipts, base and duty. Nobody paid it at the till. */
function CashStamps({ of }: { of: CashStampView[] }) {
  return <>{of.map((stamp) => [<h2 key={'h' + stamp.rate}>{t('report_cash_stamp')}</h2>,
    <Fact key={'c' + stamp.rate} label={t('report_cash_stamp_count')}><Ltr>{stamp.count}</Ltr></Fact>,
    <Fact key={'b' + stamp.rate} label={t('report_cash_stamp_base')}><Money minor={stamp.base_minor} /></Fact>,
    <Fact key={'d' + stamp.rate} label={tx('report_cash_stamp_duty', { rate: <Ltr>{stamp.rate + ' %'}</Ltr> })}><span data-testid="report-cash-stamp" data-minor={stamp.duty_minor}><Money minor={stamp.duty_minor} /></span></Fact>])}</>;
}

/** The paper as it was issued. Looked at in full, so the finger scrolls it. */
function Paper({ png, name }: { png: string; name: string }) {
  return <div class="report-paper"><img data-testid="z-png" alt={name} src={'data:image/png;base64,' + png} /></div>;
}

function Copies({ count }: { count: number }) {
  return count ? <p class="receipt-marks" data-testid="copies" data-count={count}><Pill tone="">{tx('copies', { count })}</Pill></p> : null;
}

/** Copy and books of a report that stays. */
function Kept({ number, from, shown, done }: { number: string; from: Screen; shown: (reply: ReportView | PeriodView) => void; done: () => void }) {
  return <footer class="foot"><div class="foot-row">
    <button type="button" class="btn tall side-icon" data-testid="report-reprint" aria-label={t('reprint')} onClick={() => run({ type: 'ReprintReport', number }).then((reply) => {
      if (!reply) return;
      say({ text: t('report_copy_sent') });
      if (reply.type === 'Report' || reply.type === 'Period') shown(reply);
      refresh();
    })}><Icon name="print" /><span>{t('mark_copy')}</span></button>
    <button type="button" class="btn tall side-icon" data-testid="report-balance" onClick={() => openBalance(number, from)}><Icon name="scale" /><span>{t('balance')}</span></button>
    <button type="button" class="btn go tall grow" data-testid="report-done" onClick={done}>{t('done')}</button></div></footer>;
}

export function Report({ report, from }: { report: ReportView; from: Screen }) {
  const z = report.z_number;
  const done = () => go(from);
  const here: Screen = { at: 'report', report, from };
  const difference = report.difference_minor;
  return <div class="app">
    <Bar title={z !== null ? tx('z_report', { number: <Ltr>{z}</Ltr> }) : t('x_report')} back={done} />
    <main class="scroll report" tabIndex={0}>
      {difference !== null ? <div class={difference === 0 ? 'verdict ok' : 'verdict wait'} data-testid="z-difference" data-minor={difference}>
        <span>{difference === 0 ? t('report_balanced') : difference > 0 ? t('report_over') : t('report_short')}</span><b><Money minor={difference} sign /></b></div> : null}
      <Copies count={report.copies} />
      <div class="report-cols"><div class="report-facts">
        <Fact label={t('report_takings')} strong><span data-testid="report-takings" data-minor={report.takings_minor}><Money minor={report.takings_minor} /></span></Fact>
        <Fact label={t('report_day')}><Ltr>{formatTime(report.business_date)}</Ltr></Fact>
        <Fact label={t('report_opened')}><Ltr>{formatTime(report.opened_at)}</Ltr></Fact>
        <Fact label={t('report_sales')}><Ltr>{report.sales}</Ltr></Fact>
        {report.reversals ? <Fact label={t('report_reversals')}><Ltr>{report.reversals}</Ltr></Fact> : null}
        <Fact label={t('report_units')}><Qty of={report.units} /></Fact>
        {report.discounts_minor ? <Fact label={t('report_discounts')}><Money minor={report.discounts_minor} /></Fact> : null}
        {report.rounding_minor ? <Fact label={t('report_rounding')}><Money minor={report.rounding_minor} /></Fact> : null}
        <Taxes taxes={report.taxes} levies={report.levies} />
        <Kinds kinds={TENDERS} of={report.tenders_minor} />
        <h2>{tx('drawer_n', { drawer: <Ltr>{report.drawer}</Ltr> })}</h2>
        <Fact label={t('report_holder')}>{report.holder_name}</Fact>
        <Fact label={t('report_float')}><Money minor={report.float_minor} /></Fact>
        <Kinds kinds={MOVED} of={report.moved_minor} />
        <Fact label={t('report_expected')}><span data-testid="report-expected" data-minor={report.expected_minor}><Money minor={report.expected_minor} /></span></Fact>
        {report.counted_minor !== null ? <Fact label={t('report_counted')}><Money minor={report.counted_minor} /></Fact> : null}
        {report.no_sales ? <Fact label={t('report_no_sales')}><span data-testid="report-no-sales"><Ltr>{report.no_sales}</Ltr></span></Fact> : null}
        {report.counts ? <Fact label={t('report_counts')}><span data-testid="report-counts"><Ltr>{report.counts}</Ltr></span></Fact> : null}
        {report.hand_overs ? <Fact label={t('report_hand_overs')}><span data-testid="report-hand-overs"><Ltr>{report.hand_overs}</Ltr></span></Fact> : null}
        <CashStamps of={report.cash_stamp} />
        {report.perpetual_minor !== null ? <Fact label={t('report_perpetual')}><Money minor={report.perpetual_minor} /></Fact> : null}
        {z !== null ? <Deposit report={report} /> : null}
        {report.parked ? <p class="note wait">{tx('shift_close_parked', { count: report.parked })}</p> : null}
      </div>
      {report.png_base64 ? <Paper png={report.png_base64} name={'Z' + z} /> : null}</div>
    </main>
    {z !== null ? <Kept number={'Z' + z} from={here} done={done} shown={(reply) => { if ('z_number' in reply) go({ at: 'report', report: reply, from }); }} />
      : <footer class="foot"><div class="foot-row">
        <button type="button" class="btn tall side-icon" data-testid="x-print" onClick={() => runApproved((approval) => ({ type: 'XReport', print: true, approval }), t('approve_x')).then((reply) => { if (reply) say({ text: t('printed_it') }); })}><Icon name="print" /><span>{t('print_it')}</span></button>
        <button type="button" class="btn tall side-icon" data-testid="report-balance" onClick={() => openBalance('X', here)}><Icon name="scale" /><span>{t('balance')}</span></button>
        <button type="button" class="btn go tall grow" data-testid="report-done" onClick={done}>{t('done')}</button></div></footer>}
  </div>;
}

/** What the till proposes to bring to the bank: the float stays. */
function Deposit({ report }: { report: ReportView }) {
  return <div><h2>{t('report_deposit')}</h2>
    {report.deposit.map((row) => <Fact key={row.denomination_minor} label={<span dir="ltr">{row.pieces}{' × '}<Face minor={row.denomination_minor} /></span>}><Money minor={row.denomination_minor * row.pieces} /></Fact>)}
    {report.deposit.length ? <Fact label={t('balance_total')} strong><span data-testid="z-deposit" data-minor={report.deposit_minor}><Money minor={report.deposit_minor} /></span></Fact>
      : <p class="quiet">{t('report_deposit_none')}</p>}
  </div>;
}

const toReports = () => go({ at: 'reports' });

function periodName(name: string): string {
  return name.length === 7 ? name.slice(5) + '/' + name.slice(0, 4) : formatTime(name);
}

export function Period({ period }: { period: PeriodView }) {
  const here: Screen = { at: 'period', period };
  return <div class="app">
    <Bar title={tx(PERIODS[period.period], { number: <Ltr>{period.number.slice(1)}</Ltr> })} back={toReports} />
    <main class="scroll report" tabIndex={0}><Copies count={period.copies} />
      <div class="report-cols"><div class="report-facts">
        <Fact label={t('report_takings')} strong><span data-testid="report-takings" data-minor={period.sales_minor + period.reversals_minor}><Money minor={period.sales_minor + period.reversals_minor} /></span></Fact>
        <Fact label={t('period_name')}><Ltr>{periodName(period.name)}</Ltr></Fact>
        <Fact label={t('period_at')}><Ltr>{formatTime(period.at)}</Ltr></Fact>
        {period.z_numbers ? <Fact label={t('period_z')}><Ltr>{period.z_numbers[0] === period.z_numbers[1] ? period.z_numbers[0] : period.z_numbers[0] + ' – ' + period.z_numbers[1]}</Ltr></Fact> : null}
        <Fact label={t('report_sales')}><Ltr>{period.sales}</Ltr></Fact>
        <Fact label={t('period_sales')}><Money minor={period.sales_minor} /></Fact>
        <Fact label={t('report_reversals')}><Ltr>{period.reversals}</Ltr></Fact>
        {period.reversals ? <Fact label={t('period_reversals')}><Money minor={period.reversals_minor} /></Fact> : null}
        {period.discounts_minor ? <Fact label={t('report_discounts')}><Money minor={period.discounts_minor} /></Fact> : null}
        {period.rounding_minor ? <Fact label={t('report_rounding')}><Money minor={period.rounding_minor} /></Fact> : null}
        <Taxes taxes={period.taxes} levies={period.levies} />
        <Kinds kinds={TENDERS} of={period.tenders_minor} />
        <Kinds kinds={MOVED} of={period.moved_minor} />
        {period.over_short_minor ? <Fact label={t('period_over_short')}><Money minor={period.over_short_minor} sign /></Fact> : null}
        <CashStamps of={period.cash_stamp} />
        <Fact label={t('report_perpetual')}><span data-testid="perpetual" data-minor={period.perpetual_minor}><Money minor={period.perpetual_minor} /></span></Fact>
        <Fact label={t('period_events')}><Ltr>{period.covers[0]}{' – '}{period.covers[1]}</Ltr></Fact>
        <Fact label={t('period_seal')}><Ltr>{period.seal}</Ltr></Fact>
      </div><Paper png={period.png_base64} name={period.number} /></div>
    </main>
    <Kept number={period.number} from={here} done={toReports} shown={(reply) => { if ('period' in reply) go({ at: 'period', period: reply }); }} />
  </div>;
}

type Filter = 'all' | 'z' | PeriodKind;
const FILTERS: [Filter, TillKey][] = [['all', 'reports_all'], ['z', 'reports_z'], ['day', 'reports_day'], ['month', 'reports_month'], ['year', 'reports_year']];
/** As many of each kind as the till gives at once. */
const ROWS_MAX = 100;

function openReport(number: string): void {
  run({ type: 'GetReport', number }).then((reply) => {
    if (!reply) return;
    if (reply.type === 'Report') go({ at: 'report', report: reply, from: { at: 'reports' } });
    else if (reply.type === 'Period') go({ at: 'period', period: reply });
  });
}

/** Z reports and closings. What was chosen stays chosen when one comes back from a report. */
let filtered: Filter = 'all';

export function Reports() {
  const [rows, setRows] = useState<ReportRow[] | null>(null);
  const [filter, setFilter] = useState(filtered);
  const load = () => run({ type: 'ListReports', limit: ROWS_MAX }).then((reply) => { if (reply && reply.type === 'Reports') setRows(reply.reports); });
  useEffect(() => { load(); }, []);
  const now = status.value;
  const open = !!now && now.shifts.length > 0;
  const shown = (rows || []).filter((row) => filter === 'all' || (row.period || 'z') === filter);
  return <div class="app"><Bar title={t('reports')} back={() => go({ at: 'home' })} />
    <main class="mid list-page">
      <div class="chips even filter" role="group">{FILTERS.map(([one, key]) => <button key={one} type="button" class={one === filter ? 'chip on' : 'chip'} aria-pressed={one === filter} data-testid={'filter-' + one}
        onClick={() => { filtered = one; setFilter(one); }}>{t(key)}</button>)}</div>
      <div class="scroll" tabIndex={0}><ul class="rows flush">{shown.map((row) => <li key={row.number}><button type="button" class="row tap" data-testid={'report-' + row.number} onClick={() => openReport(row.number)}>
        <span class="row-main"><b>{tx(row.period ? PERIODS[row.period] : 'z_report', { number: <Ltr>{row.number.slice(1)}</Ltr> })}</b>
          <span class="quiet"><Ltr>{periodName(row.name)}</Ltr>{' · '}{t('period_at')}{' '}<Ltr>{formatTime(row.at)}</Ltr></span>
          {row.difference_minor ? <span class="off warn">{row.difference_minor > 0 ? t('report_over') : t('report_short')}{' '}<Money minor={row.difference_minor} sign /></span> : null}</span>
        <b class="row-n"><Money minor={row.takings_minor} /></b></button></li>)}</ul>
        {rows && !shown.length ? <Empty icon="chart">{t('reports_none')}</Empty> : null}</div>
    </main>
    <footer class="foot">{open ? <p class="quiet small lead">{t('periods_hint')}</p> : null}<div class="foot-row">
      <button type="button" class="btn tall side-icon" data-testid="balance" onClick={() => openBalance(now && now.shift ? 'X' : null, { at: 'reports' })}><Icon name="scale" /><span>{t('balance')}</span></button>
      <button type="button" class="btn tall grow" data-testid="close-periods" disabled={open} onClick={() => runApproved((approval) => ({ type: 'ClosePeriods', approval }), t('approve_periods')).then((reply) => {
        if (!reply) return;
        say({ text: t('periods_closed') });
        load();
      })}><Icon name="lock" />{t('periods_close')}</button></div></footer></div>;
}

export function openBalance(number: string | null, from: Screen): void {
  run({ type: 'TrialBalance', number }).then((reply) => { if (reply && reply.type === 'Balance') go({ at: 'balance', balance: reply, from }); });
}

export function Balance({ balance, from }: { balance: BalanceView; from: Screen }) {
  const number = balance.number;
  const even = balance.debit_minor === balance.credit_minor;
  const choices: [string, ComponentChildren][] = [];
  if (number && number !== 'X') choices.push([number, <Ltr>{number}</Ltr>]);
  if (status.value && status.value.shift) choices.push(['X', t('balance_shift')]);
  choices.push(['', t('balance_all')]);
  return <div class="app"><Bar title={t('balance')} back={() => go(from)} />
    <main class="scroll narrow" tabIndex={0}>
      <div class="chips" role="group">{choices.map(([one, label]) => <button key={one} type="button" class={one === number ? 'chip on' : 'chip'} aria-pressed={one === number} data-testid={'balance-of-' + (one || 'all')} onClick={() => openBalance(one || null, from)}>{label}</button>)}</div>
      {balance.rows.length ? <div>
        <p class={even ? 'verdict ok' : 'verdict wait'} data-testid="balance-even" data-debit={balance.debit_minor} data-credit={balance.credit_minor}><span>{even ? t('balance_even') : t('balance_uneven')}</span><Icon name={even ? 'check' : 'alert'} /></p>
        <table class="books" data-testid="books"><thead><tr><th scope="col">{t('balance_account')}</th><th scope="col">{t('balance_debit')}</th><th scope="col">{t('balance_credit')}</th></tr></thead>
          <tbody>{balance.rows.map((row) => <tr key={row.account} data-testid={'account-' + row.account}><th scope="row">{accountName(row.account)}</th><td>{row.credit_minor ? null : <Bare minor={row.debit_minor} />}</td><td>{row.credit_minor ? <Bare minor={row.credit_minor} /> : null}</td></tr>)}</tbody>
          <tfoot><tr><th scope="row">{t('balance_total')}</th><td><Bare minor={balance.debit_minor} /></td><td><Bare minor={balance.credit_minor} /></td></tr></tfoot></table></div> : <Empty icon="scale">{t('balance_empty')}</Empty>}
      {balance.stock.length ? <table class="books"><thead><tr><th scope="col">{t('balance_stock')}</th><th scope="col">{t('balance_units')}</th></tr></thead>
        <tbody>{balance.stock.map((row) => <tr key={row.account}><th scope="row">{accountName(row.account)}</th><td><Qty of={row.quantity} /></td></tr>)}</tbody></table> : null}
    </main></div>;
}
