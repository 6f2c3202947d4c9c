/** Why a file is not taken for a good backup: one error per kind of trouble. */
import { Mk8sError } from '../../base/errors.ts'

const ANOTHER = 'use another backup; mk8s backup list shows those of a directory'

export const emptyFile = (path: string): Mk8sError =>
  new Mk8sError('backup/foreign', `${path} is empty`, { hint: ANOTHER })

export const foreign = (path: string, why: string, hint = ANOTHER): Mk8sError =>
  new Mk8sError('backup/foreign', `${path} is not a backup of mk8s`, { why, hint })

export const truncated = (path: string, why: string): Mk8sError =>
  new Mk8sError('backup/truncated', `the backup ${path} is not complete`, { why, hint: ANOTHER })

export const damaged = (path: string, why: string): Mk8sError =>
  new Mk8sError('backup/damaged', `the backup ${path} is damaged`, { why, hint: ANOTHER })

export const newerFormat = (path: string, version: number, known: number): Mk8sError =>
  new Mk8sError('backup/version', `the backup ${path} has format ${version}`, {
    why: `this version of mk8s understands formats up to ${known}`,
    hint: 'use the version of mk8s that made it, or a later one',
  })

export const wrongKey = (what: string, why: string, hint: string): Mk8sError =>
  new Mk8sError('backup/key', what, { why, hint })
