import { effect } from '@preact/signals';
import { Icon } from '../shared/parts';
import { Sheets, ToastBar } from './controls';
import { Cash, CloseShift, CountDrawer, Drawer, HandOver, OpenShift } from './drawer';
import { Boot, Enrol, SignIn } from './entry';
import { openMenu, Settings } from './menu';
import { Prints, Receipt, Receipts } from './receipts';
import { Balance, Period, Report, Reports } from './reports';
import { Sale, Search } from './sale';
import { guardTaps, screen, sheets, trouble, view } from './state';
import { Goods, Stock, StockCount } from './stock';
import { NoticeBar, StorageBar, System } from './system';
import { Change, Tender } from './tender';
import { t } from './texts';

function Current() {
  const now = screen.value;
  switch (view.value) {
    case 'boot': return <Boot />;
    case 'enrol': return <Enrol />;
    case 'signin': return <SignIn />;
    case 'openshift': return <OpenShift menu={openMenu} />;
    case 'sale': return <Sale />;
    case 'search': return <Search />;
    case 'tender': return <Tender />;
    case 'change': return now.at === 'change' ? <Change done={now.done} /> : null;
    case 'receipts': return <Receipts />;
    case 'receipt': return now.at === 'receipt' ? <Receipt view={now.view} /> : null;
    case 'report': return now.at === 'report' ? <Report report={now.report} from={now.from} /> : null;
    case 'drawer': return <Drawer />;
    case 'cash': return now.at === 'cash' ? <Cash key={now.movement} movement={now.movement} /> : null;
    case 'count': return <CountDrawer />;
    case 'handover': return <HandOver />;
    case 'close': return <CloseShift />;
    case 'reports': return <Reports />;
    case 'period': return now.at === 'period' ? <Period period={now.period} /> : null;
    case 'balance': return now.at === 'balance' ? <Balance balance={now.balance} from={now.from} /> : null;
    case 'stock': return <Stock />;
    case 'goods': return now.at === 'goods' ? <Goods key={now.kind} kind={now.kind} /> : null;
    case 'stockcount': return <StockCount />;
    case 'system': return <System />;
    case 'settings': return <Settings />;
    case 'prints': return <Prints />;
  }
}

function Trouble() {
  if (!trouble.value) return null;
  return <div class="trouble" role="alert" data-testid="trouble"><Icon name="alert" /><span>{t(trouble.value === 'token' ? 'door_token' : 'door_unreachable')}</span></div>;
}

export function App() {
  return <div class="root" data-view={view.value}><Trouble /><NoticeBar /><StorageBar /><Current /><Sheets />{view.value === 'sale' && !sheets.value.length ? null : <ToastBar />}</div>;
}

/** Taps are dead for a moment whenever another screen comes up. */
export function guardScreens(): void {
  let shown = view.peek();
  effect(() => {
    if (view.value !== shown) {
      shown = view.value;
      guardTaps();
    }
  });
}
