! Residuals of a decay curve, as in decay.c. bind(C) fixes the name and the C types; `value` passes the sizes as C does.
module decay_curve
  use, intrinsic :: iso_c_binding, only: c_double, c_f_pointer, c_int, c_ptr, c_ptrdiff_t
  implicit none

  type, bind(C) :: observations
    type(c_ptr) :: time
    type(c_ptr) :: value
  end type

contains

  integer(c_int) function decay(n, p, m, y, user_data) result(status) bind(C)
    integer(c_ptrdiff_t), value, intent(in) :: n, m
    real(c_double), intent(in) :: p(n)
    real(c_double), intent(out) :: y(m)
    type(c_ptr), value, intent(in) :: user_data
    type(observations), pointer :: observed
    real(c_double), pointer :: time(:), value(:)

    call c_f_pointer(user_data, observed)
    call c_f_pointer(observed%time, time, [m])
    call c_f_pointer(observed%value, value, [m])
    y = p(1) * exp(-p(2) * time) + p(3) - value
    status = 0
  end function

end module
