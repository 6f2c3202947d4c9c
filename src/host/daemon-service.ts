/** The daemon as something that the system keeps running, whichever way it does. */
import type { Clock } from '../base/clock.ts'
import type { Manager } from './service-manager.ts'

export interface Service {
  readonly manager: Manager
  /** Files that must be there with this content before the daemon is started. */
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[]
  /** Starts the daemon and keeps it running, over reboots where systemd does it. */
  start(): Promise<void>
  /** Whether somebody keeps the daemon running. */
  isActive(): boolean
  /** Starts the daemon anew, from whatever lies under its program's path now; the pods go on running. */
  restart(): Promise<void>
  /** Ends the daemon, which may have ended already, and keeps it from coming back. */
  stop(): Promise<void>
  /** Removes what lies outside the data directory. */
  remove(): Promise<void>
}

export interface ServiceParts {
  readonly dataDir: string
  readonly clock: Clock
  /** Who does it; decided by what is on the machine unless given. */
  readonly manager?: Manager
  /** Whether /bin/sh can supervise; whether it is there unless given. */
  readonly hasShell?: boolean
  /** What is run as `PROGRAM daemon --data-dir DIR`; this program itself unless given. */
  readonly program?: string
}
