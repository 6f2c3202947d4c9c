/** Paths inside volumes and profiles, and modes of files. */
import { invalid } from '../../../../kube/field-error.ts'
import type { Problems } from './meta.ts'

const MODE_MAX = 0o777

export function checkMode(out: Problems, field: string, mode: number | undefined): void {
  if (mode === undefined || (mode >= 0 && mode <= MODE_MAX)) return
  out.push(invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive'))
}

/** A relative path that stays inside. */
export function checkLocalPath(out: Problems, field: string, path: string): void {
  if (path.startsWith('/')) out.push(invalid(field, path, 'must be a relative path'))
  checkNoBacksteps(out, field, path)
}

/** As `checkLocalPath`, and not a name that the kubelet keeps for itself. */
export function checkFreePath(out: Problems, field: string, path: string): void {
  checkLocalPath(out, field, path)
  if (path.startsWith('..') && !path.startsWith('../')) {
    out.push(invalid(field, path, "must not start with '..'"))
  }
}

export function checkNoBacksteps(out: Problems, field: string, path: string): void {
  if (path.split('/').includes('..')) out.push(invalid(field, path, "must not contain '..'"))
}
