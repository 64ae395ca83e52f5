import { cleanName, MAX_NAME_LENGTH } from '@holdfast/pairing-store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('the name of a device', () => {
  test('loses what cannot be seen or turns the text around', () => {
    expect(cleanName('build\u202egnp.exe')).toBe('buildgnp.exe')
    expect(cleanName('\u2066a\u2069\u200b\ufeffb\u00ad\u061c')).toBe('ab')
    expect(cleanName('a\u0000\u001b[31mb\u007f\u0085')).toBe('a[31mb')
    expect(cleanName('a\r\n\tb   c')).toBe('a b c')
    expect(cleanName('\u3164\u115f\u2800')).toBeNull()
  })

  test('M15: opens no tag on a page', () => {
    expect(cleanName('<script>alert(1)</script>')).toBe('scriptalert(1)/script')
    expect(cleanName('<>')).toBeNull()
  })

  test('is at most 40 characters, and never half of one', () => {
    expect(cleanName('x'.repeat(100))).toBe('x'.repeat(40))
    expect(cleanName('\u{1f511}'.repeat(100))).toBe('\u{1f511}'.repeat(40))
    expect(cleanName(`${'x'.repeat(39)}\u{1f1e9}\u{1f1ea}`)).toBe('x'.repeat(39))
    expect(cleanName(`a${'\u0323'.repeat(100)}`)).toBeNull()
  })

  test('is no name where nothing is left, or where none was given', () => {
    for (const none of ['', '   ', '\u200b', null, undefined]) expect(cleanName(none)).toBeNull()
  })

  test('of any text is short, clean, and stays as it is when it is cleaned again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), text => {
        const name = cleanName(text)
        if (name === null) return
        expect([...name].length).toBeLessThanOrEqual(MAX_NAME_LENGTH)
        expect(name).not.toMatch(/[<>\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
        expect(name.trim()).toBe(name)
        expect(cleanName(name)).toBe(name)
      }),
    )
  })
})
